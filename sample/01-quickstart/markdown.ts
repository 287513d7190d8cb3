import { lexer, type MarkedToken, type Token } from 'marked';

export interface Heading {
  readonly depth: number;
  readonly text: string;
}

export interface Link {
  readonly url: string;
  readonly text: string;
}

export interface MarkdownIndex {
  /** The first heading of level 1, or else the first heading. */
  readonly title: string | null;
  readonly headings: readonly Heading[];
  /** Inline, reference and automatic links in the order of the text; images are not links. */
  readonly links: readonly Link[];
  /** Words of prose: headings, paragraphs, lists, tables and code spans, without code blocks and HTML. */
  readonly words: number;
}

/** What a markdown document (CommonMark with GitHub's extensions) contains. A pure function. */
export function indexMarkdown(source: string): MarkdownIndex {
  const found: Found = { headings: [], links: [], prose: [] };
  visit(lexer(withoutFrontMatter(source)), found);
  const { headings, links, prose } = found;
  const title = (headings.find(({ depth }) => depth === 1) ?? headings[0])?.text ?? null;
  return { title, headings, links, words: countWords(prose.join('')) };
}

interface Found {
  readonly headings: Heading[];
  readonly links: Link[];
  /** Pieces of text; a block ends with a line break, so that words of two blocks do not run together. */
  readonly prose: string[];
}

function visit(tokens: readonly Token[], found: Found): void {
  for (const token of tokens) if (isStandard(token)) visitToken(token, found);
}

function visitToken(token: MarkedToken, found: Found): void {
  const { headings, links, prose } = found;
  switch (token.type) {
    case 'heading':
      headings.push({ depth: token.depth, text: plainText(token.tokens) });
      visit(token.tokens, found);
      prose.push('\n');
      break;
    case 'paragraph':
    case 'blockquote':
    case 'list_item':
      visit(token.tokens, found);
      prose.push('\n');
      break;
    case 'list':
      visit(token.items, found);
      break;
    case 'table':
      for (const cell of [token.header, ...token.rows].flat()) {
        visit(cell.tokens, found);
        prose.push('\n');
      }
      break;
    case 'link':
      links.push({ url: token.href, text: plainText(token.tokens) });
      visit(token.tokens, found);
      break;
    case 'strong':
    case 'em':
    case 'del':
      visit(token.tokens, found);
      break;
    case 'text':
      // The line of a list item has tokens of its own, a piece of a line has not.
      if (token.tokens) visit(token.tokens, found);
      else prose.push(decodeEntities(token.text));
      break;
    case 'codespan':
    case 'escape':
      prose.push(token.text);
      break;
    case 'br':
    case 'space':
      prose.push('\n');
      break;
    default:
    // Not prose: code blocks, HTML, images, definitions, rules, check boxes.
  }
}

/** marked's types leave room for the tokens of extensions. None is installed here. */
function isStandard(_token: Token): _token is MarkedToken {
  return true;
}

/** Text without its markup, on one line. */
function plainText(tokens: readonly Token[]): string {
  const content: Found = { headings: [], links: [], prose: [] };
  visit(tokens, content);
  return content.prose.join('').replace(/\s+/g, ' ').trim();
}

const WORD_CHARACTER = /[\p{L}\p{N}]/u;
const SCRIPT_WITHOUT_SPACES =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
const wordSegmenter = new Intl.Segmenter(undefined, { granularity: 'word' });

/**
 * What stands between spaces is a word if there is a letter or a digit in it; in scripts without spaces the
 * segmenter finds the words. It gets one phrase at a time, since its time grows with the square of the length:
 * half a minute, without a pause for anything else in this process, for a change log of 260 kB.
 */
function countWords(text: string): number {
  let words = 0;
  for (const [run] of text.matchAll(/\S+/g)) {
    if (SCRIPT_WITHOUT_SPACES.test(run)) words += segmentWords(run);
    else if (WORD_CHARACTER.test(run)) words += 1;
  }
  return words;
}

function segmentWords(run: string): number {
  let words = 0;
  for (const [phrase] of run.matchAll(/[\p{L}\p{M}\p{N}]+/gu)) {
    for (const { isWordLike } of wordSegmenter.segment(phrase)) if (isWordLike) words += 1;
  }
  return words;
}

const NAMED_ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  copy: '©',
};

function decodeEntities(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(\w+));/gi, (entity, decimal, hex, name) => {
    if (name !== undefined) return NAMED_ENTITIES[String(name).toLowerCase()] ?? entity;
    const codePoint = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return isCharacter(codePoint) ? String.fromCodePoint(codePoint) : '\uFFFD';
  });
}

/** HTML turns the others into U+FFFD, and Postgres would refuse to store them. */
function isCharacter(codePoint: number): boolean {
  const isSurrogate = codePoint >= 0xd800 && codePoint <= 0xdfff;
  return codePoint > 0 && codePoint <= 0x10ffff && !isSurrogate;
}

function withoutFrontMatter(source: string): string {
  return source.replace(/^\uFEFF?(?:---[ \t]*\r?\n[\s\S]*?\r?\n---[ \t]*(?:\r?\n|$))?/, '');
}
