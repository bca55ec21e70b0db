"""Every text the portal shows, in French first and in English: a field that one language lacks does not type-check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.directory import RoleName
from contracts.feed import Category
from contracts.grades import GradeCode

DEFAULT = "fr"


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language; `{name}` stands for a value."""

    lang: str
    language: str
    brand: str
    tagline: str
    skip: str
    account: str
    home: str

    sign_in: str
    sign_in_lead: str
    login: str
    password: str
    sign_in_action: str
    sign_in_help: str
    wrong_credentials: str
    missing_credentials: str
    throttled: str
    throttled_minutes: str
    sign_in_unavailable: str
    signed_out: str
    sign_out: str
    sign_in_with: str
    or_with: str
    provider_failed: Mapping[str, str]
    signed_out_here: str
    signing_out_there: str
    sign_out_there: str

    have_code: str
    activation: str
    activation_lead: str
    activation_pending: str
    activation_code: str
    activation_code_hint: str
    choose_login: str
    choose_login_hint: str
    choose_password: str
    password_rule: str
    activate: str
    activation_help: str
    wrong_code: str
    missing_code: str
    short_password: str
    taken: Mapping[str, str]

    family_title: str
    own_title: str
    staff_title: str
    hello: str
    children: str
    all_children: str
    categories: str
    all_categories: str
    category: Mapping[Category, str]
    kind: Mapping[Category, str]
    roles: Mapping[RoleName, str]
    roles_title: str
    staff_lead: str
    role_at: str

    today: str
    yesterday: str
    weekdays: tuple[str, ...]
    months: tuple[str, ...]
    day: str
    day_and_year: str
    first_of_month: str
    clock: str
    just_now: str
    minutes_ago: str
    yesterday_at: str
    on_day_at: str

    correction: str
    out_of: str
    decimal_point: str
    codes: Mapping[str, str]
    older: str
    newest: str
    reading_older: str
    empty_title: str
    empty: str
    empty_filtered: str
    show_all: str
    no_right_title: str
    no_right: str
    no_right_next: str

    live: str
    waiting: str
    offline: str
    announce_new: str
    announce_corrected: str
    announce_removed: str

    unavailable_title: str
    unavailable: str
    not_found_title: str
    not_found: str
    refused_title: str
    refused: str
    failed_title: str
    failed: str
    retry: str
    back_home: str

    pages: str
    news_page: str
    grades_page: str
    notifications_page: str

    grades_of: str
    grades_of_vowel: str
    own_grades: str
    year_switch: str
    year_shown: str
    school_year: str
    term_switch: str
    general_average: str
    average: str
    no_average: str
    class_mean: str
    class_range: str
    evolution: str
    evolution_of: str
    evolution_told: str
    evolution_one: str
    no_evolution: str
    as_table: str
    day_column: str
    months_short: tuple[str, ...]
    day_short: str
    coefficient: str
    optional: str
    bonus: str
    said: str
    no_grades_title: str
    no_grades: str
    no_term: str
    changed: str
    refresh: str
    refreshed: str

    notifications_lead: str
    notifications_unavailable: str
    saved: str
    not_saved: str
    message_language: str
    by_email: str
    email_to: str
    email_none: str
    told_of: str
    save: str
    messages_title: str
    messages_none: str
    messages_unavailable: str
    message_states: Mapping[str, str]
    message_says: Mapping[str, str]
    message_planned: str
    message_attempts: str


FR = Words(
    lang="fr",
    language="Français",
    brand="Préau",
    tagline="La vie au collège, à portée de main",
    skip="Aller au contenu",
    account="Mon compte",
    home="Préau, accueil",
    sign_in="Connexion",
    sign_in_lead="Notes, absences, devoirs et informations du collège\u00a0: suivez la scolarité de vos enfants.",
    login="Identifiant",
    password="Mot de passe",  # noqa: S106 - a label
    sign_in_action="Se connecter",
    sign_in_help="Identifiant ou mot de passe perdu\u00a0? Le secrétariat du collège peut vous en donner de nouveaux.",
    wrong_credentials="Identifiant ou mot de passe incorrect. Vérifiez votre saisie, puis réessayez.",
    missing_credentials="Saisissez votre identifiant et votre mot de passe.",
    throttled="Trop de tentatives. Réessayez dans {seconds} secondes.",
    throttled_minutes="Trop de tentatives. Réessayez dans {minutes} minutes.",
    sign_in_unavailable="Préau est momentanément indisponible. Vos identifiants ne sont pas en cause\u00a0: "
    "réessayez dans quelques instants.",
    signed_out="Vous êtes déconnecté. À bientôt\u00a0!",
    sign_out="Se déconnecter",
    sign_in_with="Se connecter avec {provider}",
    or_with="ou avec votre identifiant Préau",
    provider_failed={
        "refused": "La connexion a été annulée. Vous pouvez recommencer, ou utiliser votre identifiant Préau.",
        "unavailable": "Ce service de connexion ne répond pas. Réessayez dans quelques instants.",
        "invalid": "Ce service de connexion a donné une réponse que nous ne pouvons pas accepter. "
        "Réessayez ; si cela se répète, prévenez le collège.",
        "expired": "Cette connexion a expiré ou a commencé dans un autre navigateur. Recommencez.",
    },
    signed_out_here="Vous êtes déconnecté de Préau",
    signing_out_there="Nous vous déconnectons aussi du service avec lequel vous vous étiez connecté.",
    sign_out_there="Terminer la déconnexion",
    have_code="J’ai un code d’activation",
    activation="Activer mon compte",
    activation_lead="Le collège vous a remis un code d’activation : il sert une seule fois.",
    activation_pending="Vous êtes connecté avec {provider}. Saisissez votre code d’activation : "
    "la prochaine fois, il ne vous sera plus demandé.",
    activation_code="Code d’activation",
    activation_code_hint="Douze lettres et chiffres, par exemple KX4M-7TRA-9CWE.",
    choose_login="Choisissez un identifiant",
    choose_login_hint="Par exemple votre adresse électronique.",
    choose_password="Choisissez un mot de passe",  # noqa: S106 - a label
    password_rule="8 caractères au moins ; une phrase que vous retenez convient très bien.",  # noqa: S106
    activate="Activer mon compte",
    activation_help="Code perdu ou refusé ? Le secrétariat du collège peut vous en donner un nouveau.",
    wrong_code="Ce code est inconnu, déjà utilisé ou périmé. Vérifiez votre saisie, puis réessayez.",
    missing_code="Saisissez votre code d’activation.",
    short_password="Choisissez un identifiant, et un mot de passe de 8 caractères au moins.",  # noqa: S106
    taken={
        "login-taken": "Cet identifiant est déjà pris. Choisissez-en un autre.",
        "has-account": "Vous avez déjà un compte. Connectez-vous avec votre identifiant.",
        "identity-taken": "Ce compte est déjà lié à une autre personne. Adressez-vous au secrétariat du collège.",
        "no-identity": "Votre connexion a expiré. Connectez-vous de nouveau, puis saisissez votre code.",
    },
    family_title="Les nouvelles du collège",
    own_title="Mes nouvelles",
    staff_title="Mon espace",
    hello="Bonjour {name}",
    children="Enfants",
    all_children="Tous",
    categories="Rubriques",
    all_categories="Tout",
    category={
        Category.GRADES: "Notes",
        Category.ABSENCES: "Absences",
        Category.HOMEWORK: "Devoirs",
        Category.NEWS: "Infos",
    },
    kind={
        Category.GRADES: "Note",
        Category.ABSENCES: "Absence",
        Category.HOMEWORK: "Devoir",
        Category.NEWS: "Information",
    },
    roles={
        RoleName.PUPIL: "Élève",
        RoleName.GUARDIAN: "Responsable",
        RoleName.TEACHER: "Professeur",
        RoleName.STUDENT_AFFAIRS: "Vie scolaire",
        RoleName.HEAD: "Direction",
    },
    roles_title="Vos fonctions",
    staff_lead="Ce que le collège publie à votre attention s’affiche ici.",
    role_at="{role}, {school}",
    today="Aujourd’hui",
    yesterday="Hier",
    weekdays=("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche"),
    months=(
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ),
    day="{weekday} {day} {month}",
    day_and_year="{weekday} {day} {month} {year}",
    first_of_month="1er",
    clock="{hour}\u00a0h\u00a0{minute}",
    just_now="à l’instant",
    minutes_ago="il y a {minutes}\u00a0min",
    yesterday_at="hier à {clock}",
    on_day_at="le {day} {month} à {clock}",
    correction="Correction",
    out_of="sur {out_of}",
    decimal_point=",",
    codes={
        GradeCode.ABSENT: "Absent",
        GradeCode.ABSENT_ZERO: "Absent, compté 0",
        GradeCode.EXEMPTED: "Dispensé",
        GradeCode.NOT_GRADED: "Non noté",
        GradeCode.NOT_HANDED_IN: "Non rendu",
        GradeCode.NOT_HANDED_IN_ZERO: "Non rendu, compté 0",
        GradeCode.UNFIT: "Inapte",
    },
    older="Plus ancien",
    newest="Revenir au plus récent",
    reading_older="Vous lisez des nouvelles plus anciennes.",
    empty_title="Rien de nouveau pour l’instant",
    empty="Les notes, les absences, les devoirs et les informations du collège s’afficheront ici dès leur publication.",
    empty_filtered="Rien à afficher avec ce filtre.",
    show_all="Tout afficher",
    no_right_title="Aucun enfant n’est rattaché à votre compte",
    no_right="Votre compte fonctionne, mais le collège ne vous a pas encore donné accès aux nouvelles d’un élève.",
    no_right_next="Adressez-vous au secrétariat du collège\u00a0: dès que l’accès sera ouvert, cette page se remplira.",
    live="En direct",
    waiting="Reconnexion…",
    offline="Hors ligne",
    announce_new="Nouveau\u00a0: {text}",
    announce_corrected="Correction\u00a0: {text}",
    announce_removed="Retiré\u00a0: {text}",
    unavailable_title="Préau est momentanément indisponible",
    unavailable="La plateforme ne répond pas. Rien n’est perdu\u00a0: réessayez dans quelques instants.",
    not_found_title="Cette page n’existe pas",
    not_found="L’adresse est peut-être incomplète, ou la page a changé de place.",
    refused_title="Cette demande n’a pas pu être acceptée",
    refused="Revenez à l’accueil, puis réessayez.",
    failed_title="Quelque chose s’est mal passé",
    failed="L’erreur vient de nous. Réessayez dans quelques instants.",
    retry="Réessayer",
    back_home="Revenir à l’accueil",
    pages="Pages",
    news_page="Nouvelles",
    grades_page="Notes",
    notifications_page="Notifications",
    grades_of="Notes de {name}",
    grades_of_vowel="Notes d’{name}",
    own_grades="Mes notes",
    year_switch="Années scolaires",
    year_shown="Année scolaire {year}",
    school_year="{first}\u2011{second}",
    term_switch="Périodes",
    general_average="Moyenne générale",
    average="Moyenne",
    no_average="Pas de moyenne",
    class_mean="Classe\u00a0: {mean}",
    class_range="de {minimum} à {maximum}",
    evolution="Évolution",
    evolution_of="Évolution de la moyenne\u00a0: {what}",
    evolution_told="De {first} le {from_day} à {last} le {to_day}, entre {lowest} et {highest} sur 20.",
    evolution_one="Le {to_day}\u00a0: {last} sur 20.",
    no_evolution="La courbe se dessinera avec la première note qui compte.",
    as_table="Les valeurs en tableau",
    day_column="Jour",
    months_short=(
        "janv.",
        "févr.",
        "mars",
        "avril",
        "mai",
        "juin",
        "juil.",
        "août",
        "sept.",
        "oct.",
        "nov.",
        "déc.",
    ),
    day_short="{day} {month}",
    coefficient="coefficient {value}",
    optional="facultatif",
    bonus="bonus",
    said="«\u202f{text}\u202f»",
    no_grades_title="Pas encore de note",
    no_grades="Les notes de cette période s’afficheront ici dès leur publication.",
    no_term="Aucune période à afficher pour le moment.",
    changed="Les notes ont changé.",
    refresh="Actualiser",
    refreshed="Notes à jour.",
    notifications_lead="Choisissez ce que Préau vous envoie. Vos nouvelles restent toujours visibles ici.",
    notifications_unavailable="Vos préférences ne peuvent pas être affichées pour le moment. "
    "Rien n’est perdu\u00a0: réessayez dans quelques instants.",
    saved="Vos préférences sont enregistrées.",
    not_saved="Vos préférences n’ont pas pu être enregistrées. Réessayez dans quelques instants.",
    message_language="Langue des messages",
    by_email="Recevoir les messages par e\u2011mail",
    email_to="À l’adresse {address}",
    email_none="Le collège n’a pas d’adresse pour vous. Le secrétariat peut l’ajouter.",
    told_of="M’avertir pour",
    save="Enregistrer",
    messages_title="Messages envoyés",
    messages_none="Aucun message pour le moment.",
    messages_unavailable="La liste des messages ne peut pas être affichée pour le moment.",
    message_states={
        "queued": "En attente d’envoi",
        "sending": "En cours d’envoi",
        "sent": "Envoyé",
        "failed": "Non remis",
        "cancelled": "Annulé",
    },
    message_says={"new": "nouveauté", "corrected": "correction", "withdrawn": "retrait"},
    message_planned="prévu {moment}",
    message_attempts="{count}\u00a0essais",
)

EN = Words(
    lang="en",
    language="English",
    brand="Préau",
    tagline="School life, close at hand",
    skip="Skip to content",
    account="My account",
    home="Préau, home",
    sign_in="Sign in",
    sign_in_lead="Grades, absences, homework and news from school: follow your children’s days.",
    login="Login",
    password="Password",  # noqa: S106 - a label
    sign_in_action="Sign in",
    sign_in_help="Lost your login or password? The school office can give you new ones.",
    wrong_credentials="Wrong login or password. Check what you typed, then try again.",
    missing_credentials="Enter your login and your password.",
    throttled="Too many attempts. Try again in {seconds} seconds.",
    throttled_minutes="Too many attempts. Try again in {minutes} minutes.",
    sign_in_unavailable="Préau is unavailable for the moment. Your login is not at fault: try again shortly.",
    signed_out="You are signed out. See you soon!",
    sign_out="Sign out",
    sign_in_with="Sign in with {provider}",
    or_with="or with your Préau login",
    provider_failed={
        "refused": "Signing in was cancelled. You can begin again, or use your Préau login.",
        "unavailable": "This sign-in service does not answer. Try again shortly.",
        "invalid": "This sign-in service gave an answer that we cannot accept. "
        "Try again; if it happens again, tell the school.",
        "expired": "This sign-in took too long, or began in another browser. Begin again.",
    },
    signed_out_here="You are signed out of Préau",
    signing_out_there="We are signing you out of the service you had signed in with, too.",
    sign_out_there="Finish signing out",
    have_code="I have an activation code",
    activation="Activate my account",
    activation_lead="The school gave you an activation code: it works once.",
    activation_pending="You are signed in with {provider}. Enter your activation code: "
    "next time you will not be asked for it.",
    activation_code="Activation code",
    activation_code_hint="Twelve letters and digits, KX4M-7TRA-9CWE for example.",
    choose_login="Choose a login",
    choose_login_hint="Your e-mail address, for example.",
    choose_password="Choose a password",  # noqa: S106 - a label
    password_rule="8 characters at least; a sentence you remember is a good one.",  # noqa: S106 - a rule
    activate="Activate my account",
    activation_help="Lost your code, or was it refused? The school office can give you a new one.",
    wrong_code="This code is unknown, used or too old. Check what you typed, then try again.",
    missing_code="Enter your activation code.",
    short_password="Choose a login, and a password of 8 characters at least.",  # noqa: S106 - a rule
    taken={
        "login-taken": "This login is taken. Choose another one.",
        "has-account": "You have an account already. Sign in with your login.",
        "identity-taken": "This account is linked to another person already. Please ask the school office.",
        "no-identity": "Your sign-in is over. Sign in again, then enter your code.",
    },
    family_title="News from school",
    own_title="My news",
    staff_title="My space",
    hello="Hello {name}",
    children="Children",
    all_children="All",
    categories="Sections",
    all_categories="All",
    category={
        Category.GRADES: "Grades",
        Category.ABSENCES: "Absences",
        Category.HOMEWORK: "Homework",
        Category.NEWS: "News",
    },
    kind={
        Category.GRADES: "Grade",
        Category.ABSENCES: "Absence",
        Category.HOMEWORK: "Homework",
        Category.NEWS: "News",
    },
    roles={
        RoleName.PUPIL: "Pupil",
        RoleName.GUARDIAN: "Guardian",
        RoleName.TEACHER: "Teacher",
        RoleName.STUDENT_AFFAIRS: "Student affairs",
        RoleName.HEAD: "Head",
    },
    roles_title="Your roles",
    staff_lead="What the school publishes for you appears here.",
    role_at="{role}, {school}",
    today="Today",
    yesterday="Yesterday",
    weekdays=("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    months=(
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ),
    day="{weekday} {day} {month}",
    day_and_year="{weekday} {day} {month} {year}",
    first_of_month="1",
    clock="{hour}:{minute}",
    just_now="just now",
    minutes_ago="{minutes}\u00a0min ago",
    yesterday_at="yesterday at {clock}",
    on_day_at="{day} {month} at {clock}",
    correction="Correction",
    out_of="out of {out_of}",
    decimal_point=".",
    codes={
        GradeCode.ABSENT: "Absent",
        GradeCode.ABSENT_ZERO: "Absent, counts as 0",
        GradeCode.EXEMPTED: "Exempted",
        GradeCode.NOT_GRADED: "Not graded",
        GradeCode.NOT_HANDED_IN: "Not handed in",
        GradeCode.NOT_HANDED_IN_ZERO: "Not handed in, counts as 0",
        GradeCode.UNFIT: "Unfit",
    },
    older="Older",
    newest="Back to the latest",
    reading_older="You are reading older news.",
    empty_title="Nothing new for now",
    empty="Grades, absences, homework and news from school will appear here as soon as they are published.",
    empty_filtered="Nothing to show with this filter.",
    show_all="Show everything",
    no_right_title="No child is linked to your account",
    no_right="Your account works, but the school has not yet given you access to a pupil’s news.",
    no_right_next="Please ask the school office: as soon as access is open, this page will fill.",
    live="Live",
    waiting="Reconnecting…",
    offline="Offline",
    announce_new="New: {text}",
    announce_corrected="Correction: {text}",
    announce_removed="Removed: {text}",
    unavailable_title="Préau is unavailable for the moment",
    unavailable="We cannot reach the platform. Nothing is lost: try again shortly.",
    not_found_title="This page does not exist",
    not_found="The address may be incomplete, or the page has moved.",
    refused_title="This request could not be accepted",
    refused="Go back to the home page, then try again.",
    failed_title="Something went wrong",
    failed="The mistake is ours. Try again shortly.",
    retry="Try again",
    back_home="Back to the home page",
    pages="Pages",
    news_page="News",
    grades_page="Grades",
    notifications_page="Notifications",
    grades_of="{name}’s grades",
    grades_of_vowel="{name}’s grades",
    own_grades="My grades",
    year_switch="School years",
    year_shown="School year {year}",
    school_year="{first}\u2011{second}",
    term_switch="Terms",
    general_average="Overall average",
    average="Average",
    no_average="No average",
    class_mean="Class: {mean}",
    class_range="from {minimum} to {maximum}",
    evolution="Evolution",
    evolution_of="How the average evolved: {what}",
    evolution_told="From {first} on {from_day} to {last} on {to_day}, between {lowest} and {highest} out of 20.",
    evolution_one="On {to_day}: {last} out of 20.",
    no_evolution="The line will begin with the first grade that counts.",
    as_table="The values as a table",
    day_column="Day",
    months_short=("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    day_short="{day} {month}",
    coefficient="weight {value}",
    optional="optional",
    bonus="bonus",
    said="“{text}”",
    no_grades_title="No grades yet",
    no_grades="The grades of this term will appear here as soon as they are published.",
    no_term="No term to show for now.",
    changed="Grades have changed.",
    refresh="Refresh",
    refreshed="Grades are up to date.",
    notifications_lead="Choose what Préau sends you. Your news always stays here to read.",
    notifications_unavailable="Your preferences cannot be shown for the moment. Nothing is lost: try again shortly.",
    saved="Your preferences are saved.",
    not_saved="Your preferences could not be saved. Try again shortly.",
    message_language="Language of messages",
    by_email="Receive messages by e\u2011mail",
    email_to="At {address}",
    email_none="The school has no address for you. Its office can add one.",
    told_of="Tell me about",
    save="Save",
    messages_title="Messages sent",
    messages_none="No message for now.",
    messages_unavailable="The list of messages cannot be shown for the moment.",
    message_states={
        "queued": "Waiting to be sent",
        "sending": "Being sent",
        "sent": "Sent",
        "failed": "Not delivered",
        "cancelled": "Cancelled",
    },
    message_says={"new": "new", "corrected": "correction", "withdrawn": "withdrawal"},
    message_planned="planned {moment}",
    message_attempts="{count}\u00a0attempts",
)

LANGUAGES: Mapping[str, Words] = {"fr": FR, "en": EN}


def choose(cookie: str | None, accept: str | None) -> Words:
    """The visitor's own choice, else the best of what the browser accepts, else French."""
    if cookie is not None and cookie in LANGUAGES:
        return LANGUAGES[cookie]
    ranked = sorted((_ranked(part) for part in (accept or "")[:500].split(",")), key=lambda r: -r[0])
    for quality, lang in ranked:
        if quality > 0 and lang in LANGUAGES:
            return LANGUAGES[lang]
    return LANGUAGES[DEFAULT]


def _ranked(part: str) -> tuple[float, str]:
    tag, _, quality = part.strip().partition(";q=")
    try:
        weight = float(quality) if quality else 1.0
    except ValueError:
        weight = 0.0
    return weight, tag.partition("-")[0].lower()
