import * as z from "zod/mini";

/** A reading that is not asked for again within this ends by itself: whoever killed the server leaves none behind. */
export const logLeaseSeconds = 30;
/** Most lines of the past that may be asked for at once. */
export const maxLogLines = 1000;
/** A longer line is cut. */
export const maxLogTextChars = 8000;

/** One entry of a host's journal. */
export const logLine = z.strictObject({
  /** When it was taken into the journal by the host's clock, Unix microseconds: finer than {@link Date}, to be sorted by. */
  atUs: z.int().check(z.nonnegative()),
  /** The container, or the program, that said it. */
  from: z.string().check(z.maxLength(200)),
  /** As it was said: it may hold anything, and a terminal must not see it raw. */
  text: z.string().check(z.maxLength(maxLogTextChars + 20)),
});
export type LogLine = z.infer<typeof logLine>;

/** What an agent sends of a reading, signed; lost while nobody is connected. */
export const logBatch = z.strictObject({
  reading: z.uuid(),
  /** Oldest first. */
  lines: z.array(logLine).check(z.maxLength(maxLogLines + 1)),
  /** Lines that came since the batch before and were not sent, because more came than may be. */
  dropped: z.int().check(z.nonnegative()),
  /** All that was there when the reading began was sent. */
  caughtUp: z.boolean(),
  /** Nothing more comes of this reading. */
  ended: z.boolean(),
  /** Why it ended too early; null: it did not. */
  why: z.nullable(z.string().check(z.maxLength(500))),
});
export type LogBatch = z.infer<typeof logBatch>;
