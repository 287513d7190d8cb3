import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { Evaluator } from '@informalsystems/quint/dist/src/runtime/impl/evaluator.js';
import { newTraceRecorder } from '@informalsystems/quint/dist/src/runtime/trace.js';
import { newRng } from '@informalsystems/quint/dist/src/rng.js';
import { checkSpec } from './quint/front-end.js';
import { loadModels, specFile } from './models.js';
import { QuintModel, type Bounds } from './quint-model.js';
