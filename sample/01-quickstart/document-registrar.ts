import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { QueueService } from 'nestjs-awa';
import { DatabaseError } from 'pg';
import { DataSource, QueryFailedError } from 'typeorm';
import { Document } from './document.entity.js';
import { findMarkdownFiles } from './file-walker.js';
import { IndexDocument } from './index-document.job.js';

// Two documents that cannot be indexed, to show a job that fails for good: a file that is not there, and
// one in an encoding that is not UTF-8.
const UNREADABLE = [
  'sample/01-quickstart/fixtures/no-such-file.md',
  'sample/01-quickstart/fixtures/latin-1.md',
];

const UNIQUE_VIOLATION = '23505';

/** Registers every markdown file of the project, each with the job that will index it. */
@Injectable()
export class DocumentRegistrar {
  constructor(
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly queue: QueueService,
  ) {}

  /** Resolves to the number of documents registered by this call; the ones of earlier runs are skipped. */
  async registerAll(signal: AbortSignal): Promise<number> {
    const registered = await this.registeredPaths();
    const paths = [...UNREADABLE, ...(await findMarkdownFiles('node_modules'))];
    let added = 0;
    for (const path of paths) {
      if (signal.aborted) break;
      if (!registered.has(path) && (await this.register(path))) added += 1;
    }
    return added;
  }

  /**
   * The document and its job, in one transaction: there is never a document without a job, nor a job whose
   * document was not committed, whatever kills this process and whenever.
   */
  private async register(path: string): Promise<boolean> {
    try {
      await this.dataSource.transaction(async (manager) => {
        const documentId = randomUUID();
        const { id: jobId } = await this.queue.enqueue(IndexDocument, { documentId, path }, { manager });
        await manager.insert(Document, { id: documentId, path, jobId });
      });
      return true;
    } catch (error) {
      // Another process registered the path after we looked. The rollback took our job along.
      if (isUniqueViolation(error)) return false;
      throw error;
    }
  }

  private async registeredPaths(): Promise<Set<string>> {
    const documents = await this.dataSource.manager.find(Document, { select: { path: true } });
    return new Set(documents.map(({ path }) => path));
  }
}

function isUniqueViolation(error: unknown): boolean {
  return (
    error instanceof QueryFailedError &&
    error.driverError instanceof DatabaseError &&
    error.driverError.code === UNIQUE_VIOLATION
  );
}
