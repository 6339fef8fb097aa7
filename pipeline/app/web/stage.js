// The stage: one place for the invitation, the progress, the answer with its animation, or what went wrong.
// All words come as data and are set as text, so that no title can become markup.

const SVG_PAUSE = '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M4 3h3v10H4zM9 3h3v10H9z"/></svg>';
const SVG_PLAY = '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M4 2.5v11l9-5.5z"/></svg>';
const ANIMATIONS = {
  Piano: "Animation: a grand piano plays by itself",
  Other: "Animation: drums, a guitar and loudspeakers play",
};

// What the kernel cannot say itself.
const PATIENCE = 8000; // ms
const withoutKernel = (sentence) => ({ phase: "error", headline: "No answer this time", sentence, live: sentence });
const ENDED = withoutKernel("The kernel of this page has ended; run the cell again, or reload the page.");
const SILENT = withoutKernel(
  "The kernel of this page does not answer. If it is busy, wait; if not, run the cell again, or reload the page.",
);

function render({ model, el }) {
  hear(model);
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const stage = element("section", "po-stage");
  stage.setAttribute("aria-label", "Answer");
  const screen = element("div", "po-screen");
  const words = element("div", "po-words");
  const pause = element("button", "po-pause");
  pause.type = "button";
  const live = element("p", "po-live");
  live.setAttribute("role", "status");
  live.setAttribute("aria-live", "polite");
  stage.append(screen, words, live);
  el.append(stage);
  // JupyterLab shows the beginning of the last cell only; the app is below it, once its other parts are in place.
  setTimeout(() => stage.closest(".po-app")?.scrollIntoView({ block: "nearest" }), 200);

  const videos = {};
  const urls = [];
  for (const [name, description] of Object.entries(ANIMATIONS)) {
    const box = element("div", "po-half");
    box.dataset.name = name;
    const video = element("video");
    Object.assign(video, { muted: true, loop: true, playsInline: true, preload: "auto" });
    video.setAttribute("aria-label", description);
    video.addEventListener("play", showPause);
    video.addEventListener("pause", showPause);
    box.append(video);
    screen.append(box);
    videos[name] = video;
  }
  screen.append(pause);

  // Both clips come once, in the format that this browser plays.
  const format = videos.Piano.canPlayType('video/webm; codecs="vp9"') ? "webm" : "mp4";
  const onMessage = (content, buffers) => {
    heard();
    if (!content.animations) return;
    content.animations.forEach((name, i) => {
      const url = URL.createObjectURL(new Blob([buffers[i]], { type: `video/${content.format}` }));
      urls.push(url);
      videos[name].src = url;
    });
    animate();
  };
  model.on("msg:custom", onMessage);
  model.send({ want: format });

  const shown = () => videos[model.get("view").animation];

  function animate() {
    for (const video of Object.values(videos)) {
      if (video !== shown()) video.pause();
      else if (!calm.matches && video.src) video.play().catch(() => {}); // a browser may refuse until a person clicks
    }
    showPause();
  }

  function showPause() {
    const video = shown();
    pause.hidden = !video || !video.src;
    if (pause.hidden) return;
    pause.innerHTML = video.paused ? SVG_PLAY : SVG_PAUSE;
    pause.setAttribute("aria-label", video.paused ? "Play animation" : "Pause animation");
  }

  pause.addEventListener("click", () => (shown().paused ? shown().play() : shown().pause()));

  let last = {};
  function show(view) {
    if (isSameButProgress(view, last)) {
      move(view.more || view);
    } else {
      // Cancel is about to be switched off: the keyboard goes back to where the next link is typed.
      if (view.phase !== "working" && document.activeElement?.closest(".po-cancel")) field()?.focus();
      stage.dataset.phase = view.phase;
      screen.dataset.show = view.animation || "both";
      words.replaceChildren(...WORDS[view.phase](view));
      animate();
      // In a small window the answer would come below its edge.
      const behavior = calm.matches ? "auto" : "smooth";
      if (view.phase === "working" && last.phase) stage.scrollIntoView({ block: "nearest", behavior });
    }
    if (view.live !== last.live) live.textContent = view.live || "";
    last = view;
  }

  // Send something to the kernel, which answers everything; a sentence tells if it has ended or is silent.
  let waiting = 0;
  function tell(content) {
    clearTimeout(waiting);
    try {
      model.send(content);
      waiting = setTimeout(() => show(SILENT), PATIENCE);
      return true;
    } catch {
      show(ENDED);
      return false;
    }
  }

  // The kernel is there; while it works and says no more, it is asked again.
  function heard() {
    clearTimeout(waiting);
    const view = model.get("view");
    if (view !== last) show(view);
    if (isMoving(view)) waiting = setTimeout(() => tell({}), PATIENCE);
  }

  function move(progress) {
    words.querySelector(".po-step").textContent = progress.step;
    words.querySelector(".po-detail").textContent = progress.detail || " ";
    setBar(words.querySelector(".po-bar"), progress);
  }

  // Enter and Submit take the text along: ipywidgets sends what is typed with a delay, so that a quick hand, or a busy
  // kernel, would submit the beginning of a link.
  const field = () => stage.closest(".po-app")?.querySelector(".po-link input");
  const stop = (event) => {
    event.stopImmediatePropagation();
    event.preventDefault();
  };
  const take = (event) => {
    const isEnter = event.type === "keydown" && event.key === "Enter" && event.target === field();
    const isSubmit = event.type === "click" && isWithin(event.target, stage) && event.target.closest(".po-submit");
    if (!isEnter && !isSubmit) return;
    stop(event);
    tell({ submit: field().value });
  };
  // Every other control speaks to the kernel itself, if there is one.
  const guard = (event) => {
    const isControl = event.type === "drop" || event.target.closest(".jupyter-button");
    if (isControl && isWithin(event.target, stage) && !tell({})) stop(event);
  };
  const listeners = [["keydown", take], ["click", take], ["click", guard], ["drop", guard]];
  listeners.forEach(([kind, listener]) => window.addEventListener(kind, listener, true));
  if (document.body.dataset.voila) document.title = "Is it a piano?";

  model.on("change:view", heard);
  heard();
  return () => {
    clearTimeout(waiting);
    listeners.forEach(([kind, listener]) => window.removeEventListener(kind, listener, true));
    model.off("change:view", heard);
    model.off("msg:custom", onMessage);
    urls.forEach((url) => URL.revokeObjectURL(url));
  };
}

function setBar(bar, view) {
  const known = typeof view.fraction === "number";
  bar.classList.toggle("po-unknown", !known);
  bar.firstChild.style.transform = `scaleX(${known ? view.fraction : 1})`;
  if (known) bar.setAttribute("aria-valuenow", Math.round(100 * view.fraction));
  else bar.removeAttribute("aria-valuenow");
  bar.setAttribute("aria-valuetext", view.step);
}

// Whether something goes on.
const isMoving = (view) => ["working", "live"].includes(view.phase) || Boolean(view.more && !view.more.ended);

// Whether nothing but the progress has moved, so that the page need not be built anew.
function isSameButProgress(view, last) {
  if (view.phase !== last.phase || !isMoving(view) || !isMoving(last)) return false;
  return view.phase === "working" || view.live === last.live;
}

function progressOf(view) {
  const bar = element("div", "po-bar");
  bar.setAttribute("role", "progressbar");
  bar.setAttribute("aria-label", view.measure || "Progress");
  bar.setAttribute("aria-valuemin", 0);
  bar.setAttribute("aria-valuemax", 100);
  bar.append(element("i"));
  setBar(bar, view);
  return [element("p", "po-step", view.step), bar, element("p", "po-detail", view.detail || " ")];
}

const WORDS = {
  idle: (view) => [element("p", "po-question", view.headline), element("p", "po-detail", view.detail)],
  working: progressOf,
  // The microphone of the web page: a label as soon as there is one, and the probability as a bar.
  live: (view) => {
    const label = element("p", view.label ? "po-label" : "po-question", view.label || view.headline);
    label.dataset.name = view.animation;
    return [label, ...progressOf(view)];
  },
  answer: (view) => {
    const label = element("p", "po-label", view.label);
    label.dataset.name = view.animation;
    const facts = element("p", "po-facts");
    facts.append(element("b", "", view.confidence), " confidence", element("br"), view.votes);
    for (const remark of view.remarks) facts.append(element("span", "po-remark", remark));
    const title = element("p", "po-title");
    const name = element(view.url ? "a" : "span", "", view.title);
    if (view.url) Object.assign(name, { href: view.url, target: "_blank", rel: "noopener noreferrer" });
    name.dir = "auto";
    title.append(name, element("span", "po-length", view.length));
    const more = element("div", "po-more");
    if (view.more?.ended) more.append(element("p", "po-detail", view.more.step));
    else if (view.more) more.append(...progressOf(view.more));
    return view.more ? [label, facts, title, more] : [label, facts, title];
  },
  error: (view) => {
    const nodes = [element("p", "po-wrong", view.headline), element("p", "po-sentence", view.sentence)];
    if (view.title) nodes.push(element("p", "po-detail", view.title));
    return nodes;
  },
};

export default { render };
