/* The portal's comforts. Every page works without it. */
"use strict";

(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const lang = document.documentElement.lang;

  /* Times in the reader's own zone, and as in their country where it speaks the page's language. */
  const own = navigator.languages.find((tag) => tag.split("-")[0] === lang) ?? lang;
  const format = new Intl.DateTimeFormat(own, { dateStyle: "medium", timeStyle: "short" });
  for (const time of all("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = time.textContent;
    time.textContent = format.format(at);
  }

  /* The invitation's button presses itself, but only for someone who looks at it: not in a preview that
     runs scripts, and not while the browser loads ahead. */
  const invitation = document.querySelector("form[data-press]");
  if (invitation) {
    const press = () => {
      if (document.prerendering || document.visibilityState !== "visible") return;
      document.removeEventListener("visibilitychange", press);
      document.removeEventListener("prerenderingchange", press);
      invitation.requestSubmit();
    };
    document.addEventListener("visibilitychange", press);
    document.addEventListener("prerenderingchange", press);
    press();
  }

  /* What happened gets the focus. */
  document.querySelector("[data-focus]")?.focus();

  /* Show and hide. */
  const reveal = (button, shown) => {
    const input = document.getElementById(button.dataset.reveal);
    const word = button.querySelector("[data-show]");
    input.type = shown ? "text" : "password";
    word.textContent = shown ? word.dataset.hide : word.dataset.show;
  };
  for (const button of all("[data-reveal]")) {
    button.addEventListener("click", () => {
      reveal(button, document.getElementById(button.dataset.reveal).type === "password");
    });
  }

  /* Copy. Where a browser does not let us, the text is marked for the reader to do it. */
  for (const button of all("[data-copy]")) {
    const source = document.getElementById(button.dataset.copy);
    const word = button.querySelector("[data-done]");
    const name = word.textContent;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(source.textContent);
        word.textContent = word.dataset.done;
        setTimeout(() => (word.textContent = name), 2000);
      } catch {
        getSelection().selectAllChildren(source);
      }
    });
  }

  /* What is shown once is not shown again by loading the page anew, nor by coming back to it. */
  const { address } = document.body.dataset;
  if (address) {
    history.replaceState(null, "", address);
    addEventListener("pagehide", () => document.querySelector(".token")?.remove());
  }

  /* The format, while typing. A fault shows once the reader has stopped, and goes at once. */
  const whole = (input) => {
    try {
      return new RegExp(`^(?:${input.dataset.pattern})$`, "u");
    } catch {
      return null; // The service's patterns know more than a browser's.
    }
  };
  const faultOf = (input, form) => {
    if (!input.value) return input.required ? form.dataset.missing : "";
    const pattern = input.dataset.pattern && whole(input);
    return pattern && !pattern.test(input.value) ? input.dataset.wrong : "";
  };
  const tell = (input, fault) => {
    const place = document.getElementById(`fault-${input.name.replace(/^field\./, "")}`);
    if (!place) return;
    place.textContent = fault;
    place.parentElement.classList.toggle("wrong", fault !== "");
    if (fault) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  for (const form of all("form[data-check]")) {
    form.noValidate = true;
    const inputs = all("input[name^='field.']", form);
    for (const input of inputs) {
      let wait;
      const check = () => {
        clearTimeout(wait);
        // What was copied with a space or a line end around it is still right.
        const bare = input.value.trim();
        const pattern = input.dataset.pattern && whole(input);
        if (bare !== input.value && pattern?.test(bare)) input.value = bare;
        tell(input, input.value ? faultOf(input, form) : "");
      };
      input.addEventListener("input", (event) => {
        clearTimeout(wait);
        if (!faultOf(input, form)) tell(input, "");
        else if (event.inputType === "insertFromPaste") check();
        else wait = setTimeout(check, 700);
      });
      input.addEventListener("change", check);
    }
    form.addEventListener("submit", (event) => {
      for (const input of inputs) tell(input, faultOf(input, form));
      const wrong = inputs.find((input) => input.hasAttribute("aria-invalid"));
      if (!wrong) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      wrong.focus();
    });
  }

  /* One press is enough. */
  for (const form of all("form[data-busy]")) {
    const button = form.querySelector("button:not([type='button'])");
    const said = form.querySelector(".busy");
    const name = button.textContent;
    form.addEventListener("submit", (event) => {
      if (button.getAttribute("aria-disabled")) return event.preventDefault();
      for (const shown of all("[data-reveal]", form)) reveal(shown, false);
      button.setAttribute("aria-disabled", "true");
      if (said) said.textContent = form.dataset.busy;
      else if (form.dataset.busy) button.textContent = form.dataset.busy;
    });
    // Coming back to the page finds it as it was.
    addEventListener("pageshow", () => {
      button.removeAttribute("aria-disabled");
      button.textContent = name;
      if (said) said.textContent = "";
    });
  }

  /* Search. */
  for (const search of all("[data-filter]")) {
    const none = document.querySelector("[data-none]");
    const filter = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let found = 0;
      for (const group of all("section", document.getElementById(search.dataset.filter))) {
        let here = 0;
        for (const card of all("[data-search]", group)) {
          card.hidden = !words.every((word) => card.dataset.search.includes(word));
          if (!card.hidden) here += 1;
        }
        group.hidden = here === 0;
        found += here;
      }
      none.textContent = found ? "" : none.dataset.none;
    };
    search.addEventListener("input", filter);
    filter(); // A browser that comes back puts the word back.
  }

  /* In a popup: tell the app's page, and no other, then go. The way back leads to the page that is still
     open behind it, and not to a second one in here. */
  const { returnOrigin, connection } = document.body.dataset;
  if (window.opener && window.opener !== window) {
    for (const link of all("a[data-back]")) {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        window.close();
        setTimeout(() => location.assign(link.href), 300); // where a browser keeps it open
      });
    }
    if (returnOrigin) {
      window.opener.postMessage({ source: "keybroker", status: "connected", connection }, returnOrigin);
      if (!("stay" in document.body.dataset)) setTimeout(() => window.close(), 1500);
    }
  }
})();
