/** Do two values of plain data say the same, in whatever order their keys are? What is one object is not looked into. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  if (Array.isArray(a) && Array.isArray(b)) {
    if (a.length !== b.length) return false;
    for (let i = 0; i < a.length; i += 1) if (!same(a[i], b[i])) return false;
    return true;
  }
  const one = a as Record<string, unknown>;
  const other = b as Record<string, unknown>;
  let left = 0;
  for (const key in one) {
    left += 1;
    const value = one[key];
    if (!same(value, other[key]) || (value === undefined && !(key in other))) return false;
  }
  for (const _ in other) left -= 1;
  return left === 0;
}
