/** A rule of the system that the simulation saw broken. */
export class Violation extends Error {
  readonly rule: string;

  constructor(rule: string, message: string) {
    super(message);
    this.name = 'Violation';
    this.rule = rule;
  }
}

/** An error that the model's agent meets while it carries out a step; the runner takes it as the real one does. */
export class StepError extends Error {
  readonly code: 'fenced' | 'locked' | 'fence-failed' | 'postgres-failed' | 'timed-out' | 'port-in-use' | 'volume-full' | 'host-unreachable' | 'unsafe' | 'internal' | 'aborted';

  constructor(code: StepError['code'], message: string) {
    super(message);
    this.code = code;
  }
}
