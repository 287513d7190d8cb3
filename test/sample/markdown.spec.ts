import { describe, expect, it } from 'vitest';
import { indexMarkdown } from '../../sample/01-quickstart/markdown.js';

const headings = (source: string) => indexMarkdown(source).headings.map(({ depth, text }) => [depth, text]);
const urls = (source: string) => indexMarkdown(source).links.map(({ url }) => url);
const words = (source: string) => indexMarkdown(source).words;

describe('indexMarkdown', () => {
  describe('headings', () => {
    it('finds ATX headings, closed or not', () => {
      expect(headings('# One\n## Two ##\n###### Six\n####### seven\n#none')).toEqual([
        [1, 'One'],
        [2, 'Two'],
        [6, 'Six'],
      ]);
    });

    it('finds setext headings', () => {
      expect(headings('One\n===\n\nTwo\n---\n\n---\n\n- item\n---')).toEqual([
        [1, 'One'],
        [2, 'Two'],
      ]);
    });

    it('finds them in quotes and lists', () => {
      expect(headings('> ## Quoted\n\n- ### Listed')).toEqual([
        [2, 'Quoted'],
        [3, 'Listed'],
      ]);
    });

    it('takes the markup off their text', () => {
      expect(headings('# The **bold** `code<T>` [link](x) &amp; \\*star\\* ![badge](b.svg)')).toEqual([
        [1, 'The bold code<T> link & *star*'],
      ]);
    });

    it('ignores what only looks like one inside code', () => {
      expect(headings('```sh\n# a comment\n```\n\n~~~\n# too\n~~~\n\n    # indented\n')).toEqual([]);
      expect(headings('- item\n\n  ```sh\n  # a comment\n  ```\n')).toEqual([]);
      expect(headings('```\n# the fence is never closed')).toEqual([]);
    });
  });

  describe('title', () => {
    it('is the first heading of level 1', () => {
      expect(indexMarkdown('## Before\n# Title\n# Other').title).toBe('Title');
    });

    it('is the first heading where none has level 1', () => {
      expect(indexMarkdown('### First\n## Second').title).toBe('First');
    });

    it('is null without headings', () => {
      expect(indexMarkdown('Just text.').title).toBeNull();
    });
  });

  describe('links', () => {
    it('finds inline links, with parentheses and titles', () => {
      expect(urls('[a](https://a.example/x_(y)) [b](<b c> "title") [c]()')).toEqual([
        'https://a.example/x_(y)',
        'b c',
        '',
      ]);
    });

    it('resolves reference links, wherever the definition is', () => {
      expect(urls('[full][Ref], [ref][] and [ref]; not [missing].\n\n[ref]: https://r.example "T"')).toEqual([
        'https://r.example',
        'https://r.example',
        'https://r.example',
      ]);
    });

    it('finds automatic links', () => {
      expect(urls('<https://a.example> <me@b.example> https://c.example/x. www.d.example')).toEqual([
        'https://a.example',
        'mailto:me@b.example',
        'https://c.example/x',
        'http://www.d.example',
      ]);
    });

    it('sees the link around an image, and no link in the image', () => {
      expect(urls('[![build](badge.svg)](https://ci.example) ![alone](x.png)')).toEqual([
        'https://ci.example',
      ]);
    });

    it('looks into tables, lists and quotes', () => {
      expect(urls('| a | b |\n|---|---|\n| [t](1) | x |\n\n* [l](2)\n\n> [q](3)')).toEqual(['1', '2', '3']);
    });

    it('ignores code', () => {
      expect(urls('`[a](b)`\n\n```\n[a](b) https://x.example\n```')).toEqual([]);
    });

    it('keeps their text', () => {
      expect(indexMarkdown('See [the *good* parts](x).').links).toEqual([
        { url: 'x', text: 'the good parts' },
      ]);
    });
  });

  describe('words', () => {
    it('counts prose: headings, paragraphs, lists, tables, link texts and code spans', () => {
      expect(words('# Two words\n\nA **para**graph, `code`.\n\n- one\n- two\n\n> quote')).toBe(8);
      expect(words('| a | b |\n|---|---|\n| [c d](x) | e |')).toBe(5);
    });

    it('does not join the words of neighbouring blocks', () => {
      expect(words('one\n\ntwo\n* three\n* four\n\nfive  \nsix')).toBe(6);
    });

    it('leaves out code blocks, HTML, images, definitions and front matter', () => {
      expect(words('---\ntitle: not prose\n---\nyes\n\n```\nno no\n```\n\n<p align="center">no</p>')).toBe(1);
      expect(words('yes <b>yes</b> ![no no](x) [yes]\n\n[yes]: https://no.example "no"')).toBe(3);
    });

    it('follows Unicode, not spaces and ASCII', () => {
      expect(words('Grüße, naïve façade, don’t, Привет мир')).toBe(6);
      expect(words('今日は良い天気です')).toBeGreaterThan(2);
      expect(words('🎉 ✅ — … 👩‍👩‍👧')).toBe(0);
    });

    it.each([
      ['with spaces', 'A paragraph of some words.\n', 5],
      ['without', '今日は良い天気です。', 5],
    ])('stays fast on a long document %s', (_, sentence, count) => {
      const start = performance.now();
      expect(words(sentence.repeat(20_000))).toBe(20_000 * count);
      expect(performance.now() - start).toBeLessThan(5_000);
    });
  });

  it('reads any line ending, and starts after a byte order mark', () => {
    expect(headings('\uFEFF# One\r\n\r\nTwo\r\n---\r\n')).toEqual([
      [1, 'One'],
      [2, 'Two'],
    ]);
  });

  it('finds nothing in an empty document', () => {
    expect(indexMarkdown('')).toEqual({ title: null, headings: [], links: [], words: 0 });
  });

  it('never hands out U+0000, which Postgres cannot store', () => {
    expect(headings('# a&#0;b &#x110000; &#xD800;')).toEqual([[1, 'a\uFFFDb \uFFFD \uFFFD']]);
  });
});
