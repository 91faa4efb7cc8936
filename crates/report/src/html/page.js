// Sorts and filters tables, and shows long ones in part. Without it every row is there, in the order of the report.
(() => {
  "use strict";
  const LONG = 100, PRINTED = 1000, FILTERED = 25;
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const tables = [];

  const text = (cell) => (cell.firstChild ? cell.firstChild.textContent : "");
  const number = (cell) => parseFloat(cell.dataset.v ?? text(cell).replace(/,/g, ""));

  class Table {
    constructor(table) {
      this.table = table;
      this.body = table.tBodies[0];
      // A row of sentences belongs to the row above it, and goes where that goes.
      this.rows = [...this.body.rows].filter((row) => !row.classList.contains("more"));
      this.below = new Map();
      for (const more of this.body.querySelectorAll("tr.more")) this.below.set(more.previousElementSibling, more);
      this.order = this.rows;
      this.most = this.rows.length > LONG ? LONG : Infinity;
      this.wanted = "";
      if (this.rows.length > FILTERED) this.addTools();
      for (const [index, head] of [...table.tHead.rows[0].cells].entries()) this.addButton(head, index);
      this.show();
    }

    addButton(head, index) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => this.sort(head, index));
    }

    addTools() {
      const tools = document.createElement("div");
      tools.className = "tools";
      const label = document.createElement("label");
      const input = document.createElement("input");
      input.type = "search";
      label.append("Filter ", input);
      input.addEventListener("input", () => {
        this.wanted = input.value.trim().toLowerCase();
        this.show();
      });
      this.told = document.createElement("span");
      this.told.setAttribute("role", "status");
      this.more = document.createElement("button");
      this.more.type = "button";
      this.more.textContent = "Show all";
      this.more.addEventListener("click", () => {
        this.most = Infinity;
        this.show();
      });
      tools.append(label, this.told, this.more);
      this.table.closest(".scroll").before(tools);
    }

    sort(head, index) {
      const falls = head.getAttribute("aria-sort") === "ascending";
      for (const other of this.table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const isNumber = head.classList.contains("n");
      const sign = falls ? -1 : 1;
      const keyed = this.rows.map((row) => [isNumber ? number(row.cells[index]) : text(row.cells[index]), row]);
      const missing = (key) => (isNumber ? Number.isNaN(key) : key === "");
      // What has no figure comes last in either direction.
      keyed.sort(([one], [other]) => {
        if (missing(one) || missing(other)) return missing(one) - missing(other);
        return sign * (isNumber ? one - other : collator.compare(one, other));
      });
      this.order = keyed.map(([, row]) => row);
      const sorted = document.createDocumentFragment();
      for (const row of this.order) {
        sorted.append(row);
        if (this.below.has(row)) sorted.append(this.below.get(row));
      }
      this.body.append(sorted);
      this.show();
    }

    show() {
      let found = 0;
      for (const row of this.order) {
        const fits = this.wanted === "" || row.textContent.toLowerCase().includes(this.wanted);
        if (fits) found += 1;
        const hidden = !fits || found > this.most;
        if (row.hidden !== hidden) row.hidden = hidden;
        const more = this.below.get(row);
        if (more && more.hidden !== hidden) more.hidden = hidden;
      }
      if (!this.told) return;
      const shown = Math.min(found, this.most);
      this.told.textContent = `${shown.toLocaleString("en")} of ${this.rows.length.toLocaleString("en")} rows`;
      this.more.hidden = found <= this.most;
    }

    reveal(row) {
      if (this.rows.includes(row) && row.hidden) {
        this.most = Infinity;
        this.wanted = "";
        this.show();
      }
    }
  }

  for (const table of document.querySelectorAll("table.grid")) {
    if (table.querySelectorAll("tbody > tr:not(.more)").length > 1) tables.push(new Table(table));
  }

  const reveal = () => {
    const target = location.hash.length > 1 ? document.getElementById(location.hash.slice(1)) : null;
    if (!target) return;
    for (const table of tables) table.reveal(target);
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  addEventListener("beforeprint", () => {
    for (const table of tables) {
      if (table.rows.length <= PRINTED && table.most !== Infinity) {
        table.most = Infinity;
        table.show();
      }
    }
  });
})();
