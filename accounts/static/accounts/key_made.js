// A reload would send the form again and make another key: it leads to the key's page instead.
const page = document.currentScript.dataset.page;
history.replaceState(null, "", page);

const key = document.getElementById("raw-key");
const button = document.getElementById("copy-key");
button.hidden = false;
key.addEventListener("focus", () => key.select());
button.addEventListener("click", async () => {
  await navigator.clipboard.writeText(key.value);
  button.textContent = button.dataset.copied;
});
