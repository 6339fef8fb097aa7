// The player: one time axis for the votes, the waveform, the spectrogram and the sound.
// The whole axis is a native slider, so that mouse, finger, keyboard and screen reader move along it alike.

const NS = "http://www.w3.org/2000/svg";
const ICONS = { play: "M4 2.5v11l9-5.5z", pause: "M4 3h3v10H4zM9 3h3v10H9z" };

function svg(tag, attributes) {
  const node = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function clock(seconds) {
  const whole = Math.floor(seconds + 1e-6), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  const rest = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

// As pipeline/text.py writes it.
function percent(probability) {
  if (probability > 0.999) return "> 99.9 %";
  if (probability < 0.001) return "< 0.1 %";
  return `${(100 * probability).toFixed(1)} %`;
}

function render({ model, el }) {
  const seconds = Math.max(model.get("seconds"), 0.1);
  const timeline = model.get("timeline");
  const threshold = model.get("threshold");
  const urls = [];
  const url = (bytes, type) => urls[urls.push(URL.createObjectURL(new Blob([bytes], { type }))) - 1];

  const player = element("section", "po-player");
  player.setAttribute("aria-label", "The song, second by second");
  const audio = element("audio");
  const sound = model.get("audio");
  audio.src = url(sound, sound.type || "audio/mpeg");
  audio.preload = "auto";

  // Row of controls: play, time, and in words what the line stands on.
  const controls = element("div", "po-controls");
  const button = element("button", "po-play");
  button.type = "button";
  const icon = svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" });
  const shape = svg("path", { d: ICONS.play });
  icon.append(shape);
  button.append(icon);
  const time = element("span", "po-time");
  const here = element("span", "po-here");
  const legend = element("span", "po-legend");
  for (const name of timeline.length ? ["Piano", "Other"] : []) {
    const key = element("span", "po-key", name);
    key.dataset.name = name;
    legend.append(key);
  }
  controls.append(button, time, here, legend);

  const rows = element("div", "po-rows");
  if (timeline.length) rows.append(row("Probability of piano", votes(timeline, threshold, seconds)));
  rows.append(row("Waveform", waveform(model.get("peaks"), timeline, threshold, seconds)));
  const picture = element("img");
  picture.src = url(model.get("spectrogram"), "image/png");
  picture.alt = "Mel spectrogram of the song: time to the right, pitch from 0 to 8 kHz upwards, loudness as brightness";
  const spectrogram = row("Mel spectrogram, 0 to 8 kHz", picture);
  spectrogram.classList.add("po-tall");
  rows.append(spectrogram);
  const head = element("div", "po-head");
  const ghost = element("div", "po-ghost");
  ghost.hidden = true;
  const slider = element("input", "po-slider");
  Object.assign(slider, { type: "range", min: 0, max: seconds, step: 0.1, value: 0 });
  slider.setAttribute("aria-label", "Position in the song");
  rows.append(head, ghost, slider);

  player.append(audio, controls, rows, axis(seconds));
  const cards = moments(model.get("moments"));
  if (cards) player.append(cards);
  if (model.get("note")) player.append(element("p", "po-detail", model.get("note")));
  el.append(player);

  const words = (at) => {
    if (!timeline.length) return "";
    const value = timeline[Math.min(Math.floor(at), timeline.length - 1)];
    return value === null || value === undefined ? "not listened to" : `${percent(value)} piano`;
  };

  function place(at) {
    head.style.left = `${(100 * Math.min(at, seconds)) / seconds}%`;
    time.textContent = `${clock(at)} / ${clock(seconds)}`;
    here.textContent = words(at);
    slider.value = at;
    slider.setAttribute("aria-valuetext", `${clock(at)} of ${clock(seconds)}, ${words(at)}`);
  }

  let until = null, frame = 0;
  function follow() {
    place(audio.currentTime);
    if (until !== null && audio.currentTime >= until) audio.pause();
    frame = audio.paused ? 0 : requestAnimationFrame(follow);
  }
  const toggled = () => {
    shape.setAttribute("d", audio.paused ? ICONS.play : ICONS.pause);
    button.setAttribute("aria-label", audio.paused ? "Play the song" : "Pause the song");
    if (audio.paused) until = null;
    if (!frame) follow();
  };
  for (const kind of ["play", "pause", "ended"]) audio.addEventListener(kind, toggled);
  audio.addEventListener("seeked", () => place(audio.currentTime));
  audio.addEventListener("error", () => (here.textContent = "this browser cannot play the sound"));
  button.addEventListener("click", () => {
    until = null;
    if (audio.paused) audio.play().catch(() => {});
    else audio.pause();
  });
  slider.addEventListener("input", () => {
    until = null;
    audio.currentTime = Number(slider.value);
    place(Number(slider.value));
  });
  slider.addEventListener("keydown", (event) => {
    if (event.key === " ") {
      event.preventDefault();
      button.click();
    } else if (["ArrowLeft", "ArrowRight"].includes(event.key)) {
      event.preventDefault(); // a second, not a tenth
      const step = event.key === "ArrowLeft" ? -1 : 1;
      audio.currentTime = Math.min(Math.max(audio.currentTime + step, 0), seconds);
      place(audio.currentTime);
    }
    event.stopPropagation(); // a notebook has shortcuts of its own
  });
  slider.addEventListener("pointermove", (event) => {
    const box = rows.getBoundingClientRect();
    const at = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * seconds;
    ghost.hidden = false;
    ghost.style.left = `${(100 * at) / seconds}%`;
    ghost.dataset.text = [clock(at), words(at)].filter(Boolean).join(" · ");
    ghost.classList.toggle("po-flip", at > seconds * 0.6);
  });
  slider.addEventListener("pointerleave", () => (ghost.hidden = true));
  toggled();

  function moments(found) {
    if (!found.length) return null;
    const box = element("div", "po-moments");
    for (const moment of found) {
      const card = element("figure", "po-moment");
      const image = element("img");
      image.src = url(moment.picture, "image/png");
      image.alt = `Mel spectrogram of the second at ${clock(moment.second)}, glowing where a change matters most`;
      const caption = element("figcaption");
      const play = element("button", "po-moment-play", `▶ ${clock(moment.second)}`);
      play.type = "button";
      play.setAttribute("aria-label", `Play the second at ${clock(moment.second)}`);
      play.addEventListener("click", () => {
        audio.currentTime = moment.second;
        audio.play().then(() => (until = moment.second + 1), () => {});
      });
      const name = element("b", "", `Most like ${moment.class_name}`);
      name.dataset.name = moment.class_name === "Piano" ? "Piano" : "Other";
      const text = element("span");
      text.append(name, element("br"), `${percent(moment.probability)} ${moment.class_name}`);
      caption.append(text, play);
      card.append(image, caption);
      box.append(card);
    }
    const section = element("div");
    section.append(element("h3", "po-heading", "The clearest second of each class"), box);
    const grey = "In grey the mel spectrogram of that second, 0 to 8 kHz.";
    const glow = "It glows where a change would alter the decision most.";
    section.append(element("p", "po-detail", `${grey} ${glow}`));
    return section;
  }

  return () => {
    audio.pause();
    audio.removeAttribute("src");
    audio.load();
    cancelAnimationFrame(frame);
    urls.forEach((each) => URL.revokeObjectURL(each));
  };
}

function row(name, content) {
  const box = element("div", "po-row");
  box.append(content, element("span", "po-caption", name));
  return box;
}

function plane(seconds, description) {
  const box = { viewBox: `0 0 ${seconds} 1`, preserveAspectRatio: "none" };
  return svg("svg", { ...box, role: "img", "aria-label": description });
}

function nameOf(value, threshold) {
  if (value === null || value === undefined) return "none";
  return value > threshold ? "Piano" : "Other";
}

// A column a second, up to the probability of piano.
function votes(timeline, threshold, seconds) {
  const counted = timeline.filter((value) => value !== null);
  const piano = counted.filter((value) => value > threshold).length;
  const description = `above the threshold in ${piano} of ${counted.length} seconds`;
  const node = plane(seconds, `Probability of piano by second: ${description}`);
  const paths = { Piano: "", Other: "" };
  timeline.forEach((value, second) => {
    if (value === null || second >= seconds) return;
    const right = Math.min(second + 1, seconds);
    const top = 1 - Math.max(value, 0.02);
    paths[nameOf(value, threshold)] += `M${second} 1V${top}H${right}V1Z`;
  });
  for (const [name, d] of Object.entries(paths)) node.append(named(svg("path", { d }), name));
  node.append(svg("path", { d: `M0 ${1 - threshold}H${seconds}`, class: "po-threshold" }));
  return node;
}

// Mirrored peaks, each second in the colour of its vote.
function waveform(view, timeline, threshold, seconds) {
  const peaks = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const node = plane(seconds, "Waveform of the song");
  const width = seconds / peaks.length;
  const bar = (0.8 * width).toFixed(4);
  const paths = { Piano: "", Other: "", none: "" };
  peaks.forEach((peak, i) => {
    const height = Math.max(peak / 255, 0.012) * 0.48;
    const name = nameOf(timeline[Math.floor((i + 0.5) * width)], threshold);
    const [left, top, bottom] = [i * width, 0.5 - height, 0.5 + height].map((each) => each.toFixed(3));
    paths[name] += `M${left} ${top}h${bar}V${bottom}h-${bar}Z`;
  });
  for (const [name, d] of Object.entries(paths)) node.append(named(svg("path", { d }), name));
  return node;
}

function named(node, name) {
  node.dataset.name = name;
  return node;
}

function axis(seconds) {
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200].find((each) => seconds / each <= 8) || 1200;
  const box = element("div", "po-axis");
  box.setAttribute("aria-hidden", "true");
  for (let at = 0; at <= seconds - step * 0.35 || at === 0; at += step) {
    const tick = element("span", "", clock(at));
    tick.style.left = `${(100 * at) / seconds}%`;
    box.append(tick);
  }
  return box;
}

export { clock, percent, row, votes };
export default { render };
