/** How agents reach each other, by host name. Messages may be lost, late, doubled and reordered; never altered. */
export interface RaftTransport {
  /** Never throws and never waits: what cannot be sent is lost. `message` is plain JSON, of the shape in wire.ts. */
  send(to: string, message: object): void;
  /** `from` is whom the connection was authenticated as. One handler; a later one replaces it. */
  onMessage(handler: (from: string, message: unknown) => void): void;
}
