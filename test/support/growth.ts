/**
 * How much more work ten times as many things are: about 10 where work is linear, 100 where it is quadratic. Measured by the processor time of
 * this process, which other programs on the machine do not use up.
 */
export const growth = async (work: (count: number) => unknown, count: number): Promise<number> => {
  const timeOf = async (count: number) => {
    const before = process.cpuUsage()
    await work(count)
    const { user, system } = process.cpuUsage(before)
    return user + system
  }
  // Once more than needed: the first time compiles.
  await work(count)
  const few = Math.min(await timeOf(count), await timeOf(count), await timeOf(count))
  return (await timeOf(10 * count)) / few
}
