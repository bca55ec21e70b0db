// Shows what comes: a list at its first page is loaded anew; one that is searched or being used is only told so.
const shown = Number(document.querySelector("[data-newest]").dataset.newest);
const fresh = document.getElementById("fresh");
const search = document.getElementById("q");

async function look() {
  if (document.hidden) return;
  try {
    const { id } = await (await fetch("/newest")).json();
    if (id <= shown) return;
    if (location.search === "" && document.activeElement === document.body && search.value === "") location.reload();
    else fresh.hidden = false;
  } catch {
    // The mailbox is being restarted: the next look will tell.
  }
}

setInterval(look, 2000);
