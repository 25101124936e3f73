package gateway

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"strings"
)

// bodyRoom is what is set aside for a body before any of it has come, however
// long it claims to be.
const bodyRoom = 64 << 10

// document reads the body of a call as an official document and returns it with
// its media type. From here on the call is answered in kind.
func (g *gateway) document(c *call) ([]byte, string, error) {
	mediaType, err := contentType(c.r.Header)
	if err != nil {
		return nil, "", err
	}
	body, err := g.body(c)
	if err != nil {
		return nil, "", err
	}
	if len(body) == 0 {
		return nil, "", errEmptyBody()
	}
	if mediaType == "" {
		if mediaType = sniff(body); mediaType == "" {
			return nil, "", errUnrecognised()
		}
		c.mirror(mediaType)
	}
	return body, mediaType, nil
}

// body reads the whole body of a call, up to the limit; a body that says that it
// is longer is not read at all.
func (g *gateway) body(c *call) ([]byte, error) {
	for _, encoding := range c.r.Header.Values("Content-Encoding") {
		if encoding = strings.TrimSpace(encoding); encoding != "" && !strings.EqualFold(encoding, "identity") {
			return nil, errEncoding(encoding)
		}
	}
	if c.r.ContentLength > g.maxBody {
		return nil, errTooLarge(g.maxBody)
	}
	// What a body says of its length is taken for true; one that says nothing may
	// be as long as any.
	weight := c.r.ContentLength
	if weight < 0 {
		weight = g.maxBody
	}
	if !g.held.TryAcquire(weight) {
		return nil, errBusy()
	}
	c.release = func() { g.held.Release(weight) }
	var body bytes.Buffer
	if n := c.r.ContentLength; n > 0 {
		body.Grow(int(min(n, bodyRoom)) + bytes.MinRead)
	}
	_, err := body.ReadFrom(http.MaxBytesReader(c.w.ResponseWriter, c.r.Body, g.maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		return body.Bytes(), nil
	case errors.As(err, &tooLarge):
		return nil, errTooLarge(g.maxBody)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, errTooSlow(err)
	default:
		return nil, errBodyEnded(err)
	}
}
