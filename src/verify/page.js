// Arrow keys move through a map, and a line below says what stands at the cell. The page reads without it.
for (const map of document.querySelectorAll(".map")) {
  const rows = [...map.tBodies[0].rows].map((row) => [...row.cells].slice(1));
  const said = map.parentElement.nextElementSibling;
  const target = (cell) => cell.querySelector("a") ?? cell;
  const enter = (cell) => {
    for (const other of map.querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
    target(cell).tabIndex = 0;
  };
  for (const cell of rows.flat()) target(cell).tabIndex = -1;
  enter(rows.flat().find((cell) => cell.title));
  const place = (cell) => {
    const row = rows.findIndex((cells) => cells.includes(cell));
    return [row, rows[row].indexOf(cell)];
  };
  map.addEventListener("keydown", (event) => {
    const [row, column] = place(event.target.closest("td"));
    const next = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1], Home: [row, 0], End: [row, 23],
    }[event.key];
    const cell = next && rows[next[0]]?.[next[1]];
    if (cell) {
      event.preventDefault();
      enter(cell);
      target(cell).focus();
    }
  });
  const say = (event) => {
    const cell = event.target.closest("td");
    if (cell) said.textContent = cell.title;
  };
  map.addEventListener("focusin", say);
  map.addEventListener("click", (event) => {
    const cell = event.target.closest("td");
    if (cell) {
      enter(cell);
      target(cell).focus();
    }
  });
}
