"use strict";

document.documentElement.classList.add("js");

for (const choice of document.querySelectorAll(".choice")) {
  const { for: id, by } = choice.dataset;
  const panels = document.getElementById(id).querySelectorAll(`[data-${by}]`);
  const show = (value) => {
    for (const panel of panels) {
      panel.classList.toggle("away", value !== "" && panel.dataset[by] !== value);
    }
  };
  choice.addEventListener("change", (event) => show(event.target.value));
  show(choice.querySelector("input:checked").value);
}

const slider = document.getElementById("opacity");
if (slider) {
  const shown = document.querySelector("output[for=opacity]");
  const apply = () => {
    document.documentElement.style.setProperty("--saliency", slider.value / 100);
    shown.textContent = `${slider.value}%`;
  };
  slider.addEventListener("input", apply);
  apply();
}
