// How the page looks: dark or light, and larger for a beamer; kept in this browser.

import { byId } from "./dom.js";

const remember = (name, value) => { try { localStorage.setItem(`flowrunner.${name}`, value); } catch { /* not allowed: then it is for now only */ } };

const recall = (name) => { try { return localStorage.getItem(`flowrunner.${name}`); } catch { return null; } };

export function startLook() {
  const theme = recall("theme");
  if (theme) document.documentElement.dataset.theme = theme;
  setBigger(recall("bigger") === "yes");
}

export function toggleTheme() {
  const isDark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const theme = isDark ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  remember("theme", theme);
}

export function toggleBigger() {
  const isBigger = !document.documentElement.classList.contains("bigger");
  setBigger(isBigger);
  remember("bigger", isBigger ? "yes" : "no");
}

function setBigger(isBigger) {
  document.documentElement.classList.toggle("bigger", isBigger);
  byId("bigger").setAttribute("aria-pressed", String(isBigger));
}
