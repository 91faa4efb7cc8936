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
      this.texts = new Map();
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
      this.show();
    }

    fits(row) {
      if (this.wanted === "") return true;
      // Cells are told apart, so that nothing is found across two of them.
      if (!this.texts.has(row)) {
        const parts = [...row.cells, ...(this.below.get(row)?.cells ?? [])].map((cell) => cell.textContent);
        this.texts.set(row, parts.join(" ").toLowerCase());
      }
      return this.texts.get(row).includes(this.wanted);
    }

    // Only the rows that are shown are in the document: ten thousand hidden ones would cost a second at each click.
    show() {
      const found = this.order.filter((row) => this.fits(row));
      const shown = document.createDocumentFragment();
      for (const row of found.slice(0, this.most)) {
        shown.append(row);
        if (this.below.has(row)) shown.append(this.below.get(row));
      }
      this.body.replaceChildren(shown);
      if (!this.told) return;
      const count = Math.min(found.length, this.most);
      this.told.textContent = `${count.toLocaleString("en")} of ${this.rows.length.toLocaleString("en")} rows`;
      this.more.hidden = found.length <= this.most;
    }

    // Shows a row that a link leads to.
    reveal(id) {
      if (document.getElementById(id) || !this.rows.some((row) => row.id === id)) return;
      this.most = Infinity;
      this.wanted = "";
      this.show();
    }
  }

  for (const table of document.querySelectorAll("table.grid")) {
    if (table.tBodies[0].querySelector("tr:not(.more) ~ tr:not(.more)")) tables.push(new Table(table));
  }

  const reveal = () => {
    const id = location.hash.slice(1);
    if (id === "") return;
    for (const table of tables) table.reveal(id);
    document.getElementById(id)?.scrollIntoView();
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
