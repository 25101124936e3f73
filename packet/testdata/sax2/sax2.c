/*
 * Parses a document over and over with libxml2's SAX2 parser, whose handlers only
 * count, and prints how long that took: the peer of BenchmarkReadXML, which runs it.
 *
 *   sax2 ITERATIONS < document
 *
 * prints the nanoseconds, the elements and the bytes of text on one line. A
 * document that is not well-formed is an error.
 */
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct counts {
	unsigned long elements, ends, bytes;
};

static void start_element(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int namespaces,
			  const xmlChar **declared, int attributes, int defaulted, const xmlChar **values)
{
	(void)name, (void)prefix, (void)uri, (void)namespaces, (void)declared, (void)attributes, (void)defaulted, (void)values;
	((struct counts *)ctx)->elements++;
}

static void end_element(void *ctx, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
	(void)name, (void)prefix, (void)uri;
	((struct counts *)ctx)->ends++;
}

static void characters(void *ctx, const xmlChar *text, int length)
{
	(void)text;
	((struct counts *)ctx)->bytes += (unsigned long)length;
}

static char *read_all(FILE *in, size_t *length)
{
	size_t room = 1 << 16, n;
	char *text = malloc(room);

	for (*length = 0; text != NULL && (n = fread(text + *length, 1, room - *length, in)) > 0;) {
		if ((*length += n) == room)
			text = realloc(text, room *= 2);
	}
	return text;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
	struct counts counts = {0, 0, 0};
	xmlSAXHandler handler;
	size_t length;
	char *text = read_all(stdin, &length);
	long i, iterations = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
	double start;

	if (text == NULL || length == 0 || iterations <= 0) {
		fprintf(stderr, "usage: sax2 ITERATIONS < document\n");
		return 2;
	}
	memset(&handler, 0, sizeof handler);
	handler.initialized = XML_SAX2_MAGIC;
	handler.startElementNs = start_element;
	handler.endElementNs = end_element;
	handler.characters = handler.ignorableWhitespace = characters;
	xmlInitParser();
	start = now();
	for (i = 0; i < iterations; i++) {
		if (xmlSAXUserParseMemory(&handler, &counts, text, (int)length) != 0) {
			fprintf(stderr, "sax2: the document is not well-formed\n");
			return 1;
		}
	}
	printf("%.0f %lu %lu\n", now() - start, counts.elements, counts.bytes);
	return counts.elements == counts.ends ? 0 : 1;
}
