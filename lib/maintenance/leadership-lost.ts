/** This process does not lead any more: the task that hears of it has nothing left to do here. */
export class LeadershipLost extends Error {
  override readonly name = 'LeadershipLost';

  constructor() {
    super('this process does not lead any more');
  }
}
