/** Numbers out of measurements. Pure. */

/** The middle one, or the mean of the two in the middle; null of nothing. */
export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export const max = (values: readonly number[]): number | null => (values.length === 0 ? null : Math.max(...values));

/** Rounded to so many significant digits: a measurement has no more. Null stays null. */
export function significant<T extends number | null>(value: T, digits = 3): T {
  return (value === null ? null : Number(value.toPrecision(digits))) as T;
}

/** a / b, or null where there is none. */
export function ratio(a: number | null, b: number | null): number | null {
  return a === null || b === null || b === 0 ? null : significant(a / b);
}

/** ms as seconds with ms. */
export const seconds = (ms: number): number => Math.round(ms) / 1000;
