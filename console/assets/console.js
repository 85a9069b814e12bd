// What a page does beyond plain HTML: local times, copying, choosing all, uploads with progress. All of it is optional.
"use strict";

(() => {
  const csrfToken = () => document.querySelector('meta[name="_csrf"]')?.content ?? "";

  const localTimes = (root) => {
    const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
    for (const time of root.querySelectorAll("time[datetime]")) {
      const when = new Date(time.dateTime);
      if (Number.isNaN(when.getTime())) continue;
      time.title = time.textContent;
      time.textContent = format.format(when);
    }
  };

  const copyButtons = (root) => {
    if (!navigator.clipboard) return;
    for (const button of root.querySelectorAll("[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(button.dataset.copy);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
    }
  };

  const picking = (root) => {
    const picks = [...root.querySelectorAll("[data-pick]")];
    const all = root.querySelector("[data-pick-all]");
    const words = root.querySelector("[data-picked]");
    if (!all || picks.length === 0) return;
    const show = () => {
      const count = picks.filter((pick) => pick.checked).length;
      all.checked = count === picks.length;
      all.indeterminate = count > 0 && count < picks.length;
      if (words) words.textContent = count === 1 ? "1 selected file" : `${count} selected files`;
    };
    all.hidden = false;
    all.addEventListener("change", () => {
      for (const pick of picks) pick.checked = all.checked;
      show();
    });
    for (const pick of picks) pick.addEventListener("change", show);
    show();
  };

  // One menu at a time, and Escape closes it.
  const menus = () => {
    const close = (except) => {
      for (const menu of document.querySelectorAll("details.menu[open]")) if (menu !== except) menu.open = false;
    };
    document.addEventListener("click", (event) => close(event.target.closest("details.menu")));
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") close(null); });
  };

  const showPage = (html) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const fresh = page.getElementById("main");
    if (!fresh) return false;
    document.getElementById("main").replaceWith(fresh);
    window.htmx?.process(fresh);
    prepare(fresh);
    fresh.focus();
    return true;
  };

  const uploads = (root) => {
    const form = root.querySelector("form[data-upload]");
    if (!form) return;
    const files = form.querySelector('input[type="file"]');
    const button = form.querySelector("button.primary");
    const progress = form.querySelector("[data-progress]");
    const bar = progress.querySelector("progress");
    const words = progress.querySelector("[data-progress-text]");
    form.querySelector("[data-drop-hint]").hidden = false;

    const cancel = progress.querySelector("[data-cancel]");
    let request = null;
    const idle = (text) => {
      button.disabled = false;
      bar.hidden = cancel.hidden = true;
      words.textContent = text;
    };
    cancel.addEventListener("click", () => request?.abort());
    const send = () => {
      request = new XMLHttpRequest();
      request.open("POST", form.action);
      request.setRequestHeader("X-CSRF-Token", csrfToken());
      request.upload.addEventListener("progress", (event) => {
        if (!event.lengthComputable) return;
        const percent = Math.floor((100 * event.loaded) / event.total);
        bar.value = percent;
        words.textContent = percent < 100 ? `${percent} %` : "Storing…";
      });
      request.addEventListener("load", () => {
        const login = request.getResponseHeader("HX-Redirect");
        if (login) window.location.assign(login);
        else if (request.status < 300 && request.responseURL !== form.action) window.location.assign(request.responseURL);
        else if (!showPage(request.responseText)) idle("That did not work. Try again.");
      });
      request.addEventListener("error", () => idle("The connection broke. Nothing of the file in transit was kept; try again."));
      request.addEventListener("abort", () => idle("Cancelled."));
      button.disabled = true;
      progress.hidden = bar.hidden = cancel.hidden = false;
      bar.value = 0;
      words.textContent = "Starting…";
      request.send(new FormData(form));
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send();
    });
    form.addEventListener("dragover", (event) => {
      event.preventDefault();
      form.classList.add("over");
    });
    form.addEventListener("dragleave", () => form.classList.remove("over"));
    form.addEventListener("drop", (event) => {
      event.preventDefault();
      form.classList.remove("over");
      if (event.dataTransfer.files.length === 0 || button.disabled) return;
      files.files = event.dataTransfer.files;
      send();
    });
  };

  const prepare = (root) => {
    localTimes(root);
    copyButtons(root);
    picking(root);
    uploads(root);
  };

  document.addEventListener("DOMContentLoaded", () => {
    prepare(document);
    menus();
    // What was said once is not said again when the page is reloaded.
    const address = new URL(window.location.href);
    if (address.searchParams.delete("said"), address.href !== window.location.href) {
      window.history.replaceState(null, "", address);
    }
  });
  document.addEventListener("htmx:load", (event) => {
    if (event.detail.elt !== document.body) prepare(event.detail.elt);
  });
})();
