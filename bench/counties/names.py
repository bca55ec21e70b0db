"""Names as a county has them: of many origins, with accents, hyphens, particles and apostrophes, short and very long."""

from __future__ import annotations

import random

_GIVEN = """
Adèle Aïcha Amélie Anaïs André Antoine Apolline Aurélien Baptiste Benoît Camille Célia Chloé Clément Côme Élise Élodie
Émile Éva François Gaël Gaëlle Hélène Héloïse Hugo Inès Jérôme Joël Jules Léa Léo Loïc Louane Maël Maëlys Margaux
Maxence Mélina Noé Noémie Océane Raphaël Rémi Salomé Sébastien Théo Timéo Valérie Yaël Zélie Zoé Jean-Baptiste
Marie-Ève Anne-Sophie Pierre-Olivier Lou-Ann D'Artagnan Mohamed Rachid Ismaël Naël Fatoumata Mamadou Aminata Ousmane
Awa Kouadio Chidi Ngozi Thị-Hương Minh Xiùyīng Wěi Haruka Kenji Ji-woo Sofía Diégo João Conceição Gülşen Çağla Ömer
Søren Åse Björn Zuzanna Łukasz Željko Siobhán Oana Anoushka Thiyagarajan Nandini Leïla Shéhérazade Ahmed-Amine
"""
_FAMILY = """
Abadie Bénard Berger Besson Blanchet Boulanger Bréchet Carlier Châtelain Chevallier Cordier Côté Crépin Delâge Dupré
Étienne Fabre Faÿ Ferrand Fournié Garçon Gérard Grégoire Guérin Hébert Jégou Kœnig Lacoste Lefèvre Lemaître L'Hôte
Maçon Marchand Ménard Moreau Noël Pâquet Perrot Prévôt Quéré Raynaud Rivière Roussel Saint-Léger Sénéchal Séverin
Tessier Thévenot Vasseur Véron Ly Ü Diallo Haddad Mbaye N'Diaye N'Guessan Ouédraogo Traoré Keïta Bâ Nguyễn Trần Wáng
Lǐ Yamada Kim Gonçalves Dacosta Muñoz Yılmaz Öztürk Çelik Ødegård Müller Wójcik Horvátová Ó'Súilleabháin Popescu
Rakotomalala Andrianampoinimerina Ramasubramanian Benabdallah Ait-Ouarab Zidane
"""
_SPACED = (
    "Le Goff", "Da Silva", "de La Tour", "d'Aubigné", "de Saint-Exupéry", "du Plessis", "Van der Meer", "El Amrani",
    "Ben Youssef", "Al-Khalīl", "O'Brien", "von Münchhausen", "dos Santos Ferreira", "Lefèvre-Marchand", "M'Bala M'Bala",
)  # fmt: skip
_LONG_GIVEN = "Marie-Charlotte Éléonore Victoire Élisabeth Joséphine Clémentine"
_LONG_FAMILY = "de Montesquiou-Fezensac d'Armagnac de La Rochefoucauld-Liancourt-Doudeauville"

GIVEN = tuple(_GIVEN.split())
FAMILY = (*_FAMILY.split(), *_SPACED)
STREETS = (
    "rue Jean-Jaurès", "avenue de l'Église", "boulevard du Général-Leclerc", "allée des Érables", "place de la République",
    "quai d'Asnières", "impasse des Œillets", "rue du 8-Mai-1945",
)  # fmt: skip
TOWNS = (
    "92000 Nanterre", "92100 Boulogne-Billancourt", "92110 Clichy", "92120 Montrouge", "92130 Issy-les-Moulineaux",
    "92160 Antony", "92230 Gennevilliers", "92270 Bois-Colombes", "92300 Levallois-Perret", "92400 Courbevoie",
)  # fmt: skip
_PATRONS = (
    "Jean-Macé", "Émile-Zola", "Marie-Curie", "Aimé-Césaire", "Louis-Pasteur", "Évariste-Galois", "George-Sand",
    "Joséphine-Baker", "Alfred-de-Vigny", "Jean-de-La-Fontaine", "Anne-Frank", "Les Œillets", "Honoré-de-Balzac",
)  # fmt: skip


def given(chance: random.Random) -> str:
    """A given name; one in a few thousand is as long as a form allows."""
    return _LONG_GIVEN if chance.random() < 0.0004 else _one_of(GIVEN, chance)


def family(chance: random.Random) -> str:
    """A family name."""
    return _LONG_FAMILY if chance.random() < 0.0004 else _one_of(FAMILY, chance)


def address(chance: random.Random) -> str:
    """Where somebody lives."""
    return f"{int(chance.random() * 180) + 1} {_one_of(STREETS, chance)}, {_one_of(TOWNS, chance)}"


def school(number: int) -> str:
    """The name of a school; once the patrons are used up the town tells two apart."""
    patron = _PATRONS[number % len(_PATRONS)]
    town = TOWNS[number // len(_PATRONS) % len(TOWNS)][6:]
    return f"Collège {patron} ({town})"


def _one_of(names: tuple[str, ...], chance: random.Random) -> str:
    # The shortest draw there is: a county draws half a million of them.
    return names[int(chance.random() * len(names))]
