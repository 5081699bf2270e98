import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { unlinkIfThere } from './segments.ts'

/** What the journal needs of a file. */
export interface SegmentFile {
  write(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>
  datasync(): Promise<void>
  close(): Promise<void>
}

export async function writeAll(file: SegmentFile, buffer: Buffer, length: number, position: number): Promise<void> {
  let written = 0
  while (written < length) {
    const { bytesWritten } = await file.write(buffer, written, length - written, position + written)
    if (bytesWritten === 0) throw new Error('the disk takes no more bytes')
    written += bytesWritten
  }
}

/** A new file is safe once the folder that names it is. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/** Whether a new file in this directory takes so many bytes now. Nothing of it stays. */
export async function probeDisk(
  directory: string,
  openFile: (path: string) => Promise<SegmentFile>,
  bytes: number,
): Promise<boolean> {
  const path = join(directory, 'probe')
  try {
    await unlinkIfThere(path)
    const file = await openFile(path)
    try {
      await writeAll(file, Buffer.alloc(bytes), bytes, 0)
      await file.datasync()
    } finally {
      await file.close()
      await unlinkIfThere(path)
    }
    return true
  } catch {
    return false
  }
}
