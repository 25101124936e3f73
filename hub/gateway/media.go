package gateway

import (
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	"github.com/lienthong/lienthong/packet"
)

const (
	typeXML      = "application/xml"
	typeTextXML  = "text/xml"
	typeJSON     = "application/json"
	typeProblem  = "application/problem+json"
	typeProtobuf = "application/x-protobuf"
)

// maxRanges bounds how many media ranges of an Accept header are read.
const maxRanges = 64

// formatOf returns the format a media type names; false for types the edge does
// not speak.
func formatOf(mediaType string) (exchangev1.Format, bool) {
	switch mediaType {
	case typeXML, typeTextXML:
		return exchangev1.Format_FORMAT_XML, true
	case typeJSON:
		return exchangev1.Format_FORMAT_JSON, true
	default:
		return exchangev1.Format_FORMAT_UNSPECIFIED, false
	}
}

// contentType returns the media type of a request's body: typeXML, typeTextXML,
// typeJSON, or empty where the request does not say.
func contentType(header http.Header) (string, error) {
	values := header.Values("Content-Type")
	said := ""
	for _, value := range values {
		if strings.TrimSpace(value) == "" {
			continue
		}
		mediaType, params := parseMediaType(value)
		if _, ok := formatOf(mediaType); !ok || (said != "" && said != mediaType) || !readableCharset(mediaType, params["charset"]) {
			return "", errMediaType(strings.Join(values, ", "))
		}
		said = mediaType
	}
	return said, nil
}

// parseMediaType forgives what real clients send after the type itself.
func parseMediaType(value string) (string, map[string]string) {
	mediaType, params, err := mime.ParseMediaType(value)
	if err == nil {
		return mediaType, params
	}
	if !errors.Is(err, mime.ErrInvalidMediaParameter) || mediaType == "" {
		mediaType, _, _ = strings.Cut(value, ";")
	}
	return strings.ToLower(strings.TrimSpace(mediaType)), nil
}

// readableCharset tells whether a body in a charset can be forwarded as it is:
// whoever reads it later sees the bytes and not the header.
func readableCharset(mediaType, charset string) bool {
	switch strings.ToLower(charset) {
	case "", "utf-8", "utf8", "us-ascii", "ascii":
		return true
	case "utf-16", "utf-16le", "utf-16be":
		return mediaType != typeJSON // XML shows its UTF-16 by a byte order mark
	default:
		return false
	}
}

// sniff returns the media type of a body that came without one; empty where the
// body is neither XML nor JSON.
func sniff(body []byte) string {
	switch packet.Sniff(body) {
	case exchangev1.Format_FORMAT_XML:
		return typeXML
	case exchangev1.Format_FORMAT_JSON:
		return typeJSON
	default:
		return ""
	}
}

// mediaRange is one entry of an Accept header.
type mediaRange struct {
	name string // "application/xml", "application/*", "*/*"
	q    float64
}

// acceptOf reads the Accept headers of a request. Entries that make no sense are
// passed over.
func acceptOf(header http.Header) []mediaRange {
	var ranges []mediaRange
	for _, value := range header.Values("Accept") {
		for entry := range strings.SplitSeq(value, ",") {
			if len(ranges) == maxRanges {
				return ranges
			}
			if r, ok := parseRange(entry); ok {
				ranges = append(ranges, r)
			}
		}
	}
	return ranges
}

func parseRange(entry string) (mediaRange, bool) {
	name, params, _ := strings.Cut(entry, ";")
	r := mediaRange{name: strings.ToLower(strings.TrimSpace(name)), q: 1}
	if r.name == "*" { // what Java's HttpURLConnection sends
		r.name = "*/*"
	}
	if !strings.Contains(r.name, "/") {
		return mediaRange{}, false
	}
	for param := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(param, "=")
		if !strings.EqualFold(strings.TrimSpace(key), "q") {
			continue
		}
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil || !(q >= 0 && q <= 1) {
			return mediaRange{}, false
		}
		r.q = q
	}
	return r, true
}

// quality returns how welcome a media type is: the weight of the most specific
// range that matches it (RFC 9110, 12.5.1), 0 where none does.
func quality(accept []mediaRange, mediaType string) float64 {
	family, _, _ := strings.Cut(mediaType, "/")
	q, best := 0.0, 0
	for _, r := range accept {
		specific := 0
		switch r.name {
		case mediaType:
			specific = 3
		case family + "/*":
			specific = 2
		case "*/*":
			specific = 1
		}
		if specific > best {
			q, best = r.q, specific
		}
	}
	return q
}

// answerType chooses the media type of an answer: the most welcome of those the
// edge speaks; what the request itself came in where Accept leaves the choice,
// is absent, or asks for what cannot be had.
func answerType(accept []mediaRange, mirrored string) string {
	if mirrored == "" {
		mirrored = typeXML
	}
	chosen, most := mirrored, quality(accept, mirrored)
	for _, offer := range []string{typeXML, typeTextXML, typeJSON} {
		if q := quality(accept, offer); q > most {
			chosen, most = offer, q
		}
	}
	return chosen
}

// documentType chooses how a stored packet is handed out: typeXML, typeTextXML
// or typeJSON where Accept names one, empty for the sender's own bytes.
func documentType(accept []mediaRange) string {
	chosen, most := "", 0.0
	for _, r := range accept {
		if r.name == "*/*" {
			most = max(most, r.q)
		}
	}
	named := false
	for _, offer := range []string{typeXML, typeTextXML, typeJSON} {
		q := quality(accept, offer)
		if exact(accept, offer) && (q > most || (q == most && q > 0 && !named)) {
			chosen, most, named = offer, q, true
		}
	}
	return chosen
}

// prefersXML tells whether Accept names XML and welcomes it more than JSON.
func prefersXML(accept []mediaRange) bool {
	for _, offer := range []string{typeXML, typeTextXML} {
		if exact(accept, offer) && quality(accept, offer) > quality(accept, typeJSON) {
			return true
		}
	}
	return false
}

func exact(accept []mediaRange, mediaType string) bool {
	for _, r := range accept {
		if r.name == mediaType {
			return true
		}
	}
	return false
}
