// Makes elements. Text goes in as text, never as HTML: what is shown came over the network.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.setAttribute("class", value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);

export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

export const byId = (id) => document.getElementById(id);

/** The size of a rem in pixels: pictures grow with the text. */
export const rem = () => Number.parseFloat(getComputedStyle(document.documentElement).fontSize);

/** A number of messages a second in a few letters. */
export function rateText(rate, isScaled = false) {
  const about = isScaled && rate > 0 ? "≈" : "";
  if (!(rate > 0)) return "";
  if (rate >= 99_950) return `${about}${Math.round(rate / 1000)}k/s`;
  if (rate >= 999.5) return `${about}${(rate / 1000).toFixed(1)}k/s`;
  if (rate >= 9.95) return `${about}${Math.round(rate)}/s`;
  if (rate >= 0.095) return `${about}${rate.toFixed(1)}/s`;
  return `${about}${Math.max(1, Math.round(rate * 60))}/min`;
}

/** A count in a few letters. */
export function countText(count) {
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)}G`;
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)}M`;
  if (count >= 1e4) return `${(count / 1e3).toFixed(1)}k`;
  return String(Math.round(count));
}

/** Seconds as a watch would count them down. */
export function secondsText(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

export const clockText = (seconds) =>
  new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
