import { closing } from './closing.ts'
import { construction } from './constructor.ts'
import type { Cases } from './context.ts'
import { frames } from './frames.ts'
import { handshake } from './handshake.ts'
import { life } from './life.ts'
import { listeners } from './listeners.ts'
import { protocols } from './protocols.ts'
import { sending } from './sending.ts'
import { shape } from './shape.ts'

/** Every case, in the order of the standard. */
export const all: Cases = {
  ...shape,
  ...construction,
  ...protocols,
  ...handshake,
  ...listeners,
  ...sending,
  ...frames,
  ...closing,
  ...life,
}
