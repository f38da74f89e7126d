import { AppError } from '../errors.ts'

/** The error of an envelope or an Arrow stream that does not hold what its format says. */
export function envelopeDamage(
  message: string,
  details: Readonly<Record<string, unknown>> = {},
): AppError {
  return new AppError('envelope_damaged', message, { details })
}
