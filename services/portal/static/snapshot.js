// A page of the portal, taken anew while another is shown.

const RELOAD_WITHIN = 10_000;

// A page of the portal as a document whose scripts do not run, or null.
export function page(address) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("GET", address);
    request.responseType = "document";
    request.timeout = RELOAD_WITHIN;
    request.onload = () => resolve(request.status === 200 ? request.responseXML : null);
    request.onerror = request.ontimeout = request.onabort = () => resolve(null);
    request.send();
  });
}
