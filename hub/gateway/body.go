package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
)

// bodyStep is how much of a body room is taken for at a time.
const bodyStep = 64 << 10

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
	looks := sniff(body)
	switch format, _ := formatOf(mediaType); {
	case mediaType == "" && looks == "":
		return nil, "", errUnrecognised()
	case mediaType == "":
		mediaType = looks
		c.mirror(mediaType)
	case looks != "" && typeOf(format) != looks:
		return nil, "", errOtherFormat(mediaType, looks)
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
	var body bytes.Buffer
	err := g.fill(c, &body)
	if errors.Is(err, errNoRoom) {
		return nil, errBusy()
	}
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

// errNoRoom means that all bodies together are as much as is held.
var errNoRoom = errors.New("no room for more of the body")

// fill reads the body of a call. Room is taken as it comes, not as it is
// announced: who sends little takes little, however slowly.
func (g *gateway) fill(c *call, body *bytes.Buffer) error {
	limited := http.MaxBytesReader(c.w.ResponseWriter, c.r.Body, g.maxBody)
	for {
		if !g.held.TryAcquire(bodyStep) {
			return errNoRoom
		}
		c.held += bodyStep
		switch _, err := io.CopyN(body, limited, bodyStep); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err //nolint:wrapcheck // told apart by its one caller
		}
	}
}
