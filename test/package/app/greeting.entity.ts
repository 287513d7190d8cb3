import { Column, Entity, PrimaryColumn } from 'typeorm';

@Entity()
export class Greeting {
  @PrimaryColumn({ type: 'text' })
  name!: string;

  /** The job that will say it. */
  @Column({ type: 'bigint' })
  jobId!: string;
}
