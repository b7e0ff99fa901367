/* keybroker: opens a connect link in a popup. Load it with <script src="https://<portal>/connect.js"></script>. */
"use strict";

(() => {
  /**
   * Opens a connect link in a popup; call it right in a click's handler. Where popups are blocked, the page
   * itself goes there, and comes back by the session's `return_url`.
   *
   * The session needs a `return_url` of this page's origin: only that origin is told. A page that sends
   * `Cross-Origin-Opener-Policy` needs `same-origin-allow-popups` there.
   *
   * @param {object} options
   * @param {string} options.url The `url` that POST …/connect-sessions answered.
   * @param {(result: {connection: string}) => void} [options.onSuccess] The account is connected.
   * @param {() => void} [options.onCancel] The popup was closed before that.
   * @returns {{close(): void}} Closes the popup; neither function is called then.
   */
  function connect({ url, onSuccess, onCancel }) {
    const { origin, href, protocol } = new URL(url, location.href);
    if (protocol !== "https:" && protocol !== "http:") throw new TypeError("keybroker.connect: url is no link");
    const [width, height] = [520, 760];
    const left = Math.max(0, Math.round(screenX + (outerWidth - width) / 2));
    const top = Math.max(0, Math.round(screenY + (outerHeight - height) / 2));
    const popup = open(href, "_blank", `popup,width=${width},height=${height},left=${left},top=${top}`);
    if (!popup) {
      location.assign(href);
      return { close() {} };
    }

    let done = false;
    const finish = () => {
      done = true;
      clearInterval(watch);
      removeEventListener("message", hear);
    };
    const hear = (event) => {
      const { data } = event;
      if (done || event.origin !== origin || event.source !== popup) return;
      if (data?.source !== "keybroker" || data.status !== "connected") return;
      finish();
      onSuccess?.({ connection: String(data.connection) });
    };
    addEventListener("message", hear);

    // Closed at two looks in a row: what it said last has arrived by then.
    let closed = false;
    const watch = setInterval(() => {
      if (!popup.closed) return;
      if (!closed) {
        closed = true;
        return;
      }
      finish();
      onCancel?.();
    }, 300);

    popup.focus();
    return {
      close() {
        finish();
        popup.close();
      },
    };
  }

  window.keybroker = Object.freeze({ connect });
})();
