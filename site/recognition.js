// The probabilities of the clips -> votes, label, pooled probability and timeline: what pipeline/song/recognition.py does.

const PIANO = "Piano";
const CERTAIN = 1e-4; // no clip counts as surer than this far from certainty

// The effective value of a clip, the weight of its probability in the mean.
export const level = (clip) => Math.sqrt(clip.reduce((sum, value) => sum + value * value, 0) / clip.length);

// The geometric mean of the rows, scaled to a sum of one.
export function pooled(rows, weights) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const mean = rows[0].map((_, k) => {
    const logs = rows.map((row, i) => weights[i] * Math.log(Math.min(Math.max(row[k], CERTAIN), 1 - CERTAIN)));
    return Math.exp(logs.reduce((sum, log) => sum + log, 0) / total);
  });
  const sum = mean.reduce((a, b) => a + b, 0);
  return mean.map((value) => value / sum);
}

// The index of the class that a clip votes for: Piano above the threshold, else the most probable other.
export function vote(row, names, threshold) {
  const piano = names.indexOf(PIANO);
  if (piano >= 0 && row[piano] > threshold) return piano;
  const others = row.map((value, k) => (k === piano ? -1 : value));
  return others.indexOf(Math.max(...others));
}

// The answer for a song from the rows of probabilities of its clips.
export function answer(rows, weights, timeline, seconds, { names, threshold }) {
  const mean = pooled(rows, weights), piano = names.indexOf(PIANO);
  const votes = names.map(() => 0);
  for (const row of rows) votes[vote(row, names, threshold)]++;
  let best = 0;
  names.forEach((_, k) => {
    if (votes[k] > votes[best] || (votes[k] === votes[best] && mean[k] > mean[best])) best = k;
  });
  const byName = (values) => Object.fromEntries(names.map((name, k) => [name, values[k]]));
  return {
    label: names[best],
    confidence: mean[best],
    probabilities: byName(mean),
    votes: byName(votes),
    seconds,
    timeline: piano < 0 ? null : timeline.map((index) => (index < 0 ? null : rows[index][piano])),
  };
}
