/* The menu in a chapter's header: save its files, copy the page as a script. In a block:
   other scripts of the theme have names of their own. */

{
  function script() {
    const cells = [...document.querySelectorAll(".cell:has(.cell_input)")].map(cell => {
      const code = cell.querySelector(".cell_input pre").textContent.trimEnd();
      if (!cell.classList.contains("tag_raises-exception")) return code;
      return `try:\n${code.replace(/^(?=.)/gm, "    ")}\nexcept Exception as error:\n`
        + `    print(f"{type(error).__name__}: {error}")`;
    });
    if (cells.some(code => code.includes("import matplotlib.pyplot as plt")))
      cells.push("plt.show()");
    return cells.join("\n\n") + "\n";
  }

  for (const link of document.querySelectorAll("a[class*=btn-download-]"))
    link.download = ""; // else the browser may show the file instead of saving it

  const button = document.createElement("button");
  button.type = "button";
  button.className = "btn btn-sm btn-copy-script dropdown-item";
  button.textContent = "Copy the page as a script";
  const item = document.createElement("li");
  item.append(button);
  document.querySelector(".btn-colab").closest("li").before(item);

  const said = document.createElement("output"); // which is read out, too
  said.className = "copied";
  document.body.append(said);

  function say(text) {
    said.textContent = text;
    setTimeout(() => (said.textContent = ""), 3000);
  }

  const copy = new ClipboardJS(button, { text: script });
  copy.on("success", () => {
    button.closest(".dropdown").querySelector(".dropdown-toggle").focus();
    say("Copied: the page as a script.");
  });
  copy.on("error", () => say("The browser did not let us copy."));
}
