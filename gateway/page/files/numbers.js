// Numbers as people read them; all figures of a column have the same width.

export const whole = (value) => value.toLocaleString("en");

// A score in [0, 1], or any other: three places are enough to tell neighbours apart.
export function score(value) {
  if (value === null) return "";
  if (value > 0 && value < 0.0005) return "<0.001";
  return value.toFixed(3);
}

export function milliseconds(microseconds) {
  const value = microseconds / 1000;
  return `${value < 10 ? value.toFixed(1) : whole(Math.round(value))} ms`;
}
