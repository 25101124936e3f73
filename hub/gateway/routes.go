package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

// route is one address of the edge.
type route struct {
	name    string // for the log: never holds what a caller sent
	methods []string
	open    bool         // served without knowing who calls
	about   func() about // what OpenAPI says of it
	serve   func(ctx context.Context, c *call) error
}

// officialRoutes returns the addresses that are matched whole.
func (g *gateway) officialRoutes() map[string]route {
	read := []string{http.MethodGet, http.MethodHead}
	routes := map[string]route{
		"/Delivery/Pull":        {methods: []string{http.MethodGet, http.MethodPost}, about: aboutPull, serve: g.pull},
		"/Delivery/Acknowledge": {methods: []string{http.MethodPost}, about: aboutAcknowledge, serve: g.acknowledge},
		"/Delivery/Reject":      {methods: []string{http.MethodPost}, about: aboutReject, serve: g.reject},
		"/healthz":              {methods: read, open: true, about: aboutHealth, serve: g.health},
		xsdPath:                 {methods: read, open: true, about: aboutXSD, serve: g.xsd},
		openAPIPath:             {methods: read, open: true, about: aboutOpenAPI, serve: g.openAPI},
	}
	for path, typ := range map[string]packetv1.PacketType{
		"/Document/SyncDocument":         packetv1.PacketType_PACKET_TYPE_DOSSIER,
		"/Document/UpdateDocumentTraces": packetv1.PacketType_PACKET_TYPE_PROGRESS,
		"/Statistic/UpdateStatistic":     packetv1.PacketType_PACKET_TYPE_STATISTIC,
		"/Vote/UpdateVote":               packetv1.PacketType_PACKET_TYPE_SURVEY,
	} {
		routes[path] = route{
			methods: []string{http.MethodPost}, about: func() about { return aboutSubmit(typ) },
			serve: func(ctx context.Context, c *call) error { return g.submit(ctx, c, typ) },
		}
	}
	for path, r := range routes {
		r.name = path
		routes[path] = r
	}
	return routes
}

// contentOf returns the route of a packet as a document.
func (g *gateway) contentOf(sequence string) route {
	return route{
		name: contentRoute, methods: []string{http.MethodGet, http.MethodHead}, about: aboutContent,
		serve: func(ctx context.Context, c *call) error { return g.content(ctx, c, sequence) },
	}
}

// addresses returns all routes that are not grpc-gateway's, by their paths.
func (g *gateway) addresses() map[string]route {
	all := g.officialRoutes()
	all[contentRoute] = g.contentOf("")
	return all
}

// ServeHTTP implements http.Handler.
func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{
		w: &tally{ResponseWriter: w}, r: r,
		path: forgiven(r.URL.Path),
		id:   requestID(r.Header), started: g.now(),
	}
	c.mirror(mirrorOf(r.Header))
	c.problem = c.path == restRoot || strings.HasPrefix(c.path, restRoot+"/")
	harden(w.Header())
	w.Header().Set("X-Request-Id", c.id)
	defer func() { g.held.Release(c.held) }()
	defer g.recover(c)
	if err := g.dispatch(c); err != nil {
		g.refuse(c, err)
		return
	}
	g.log(c, slog.LevelDebug)
}

// dispatch finds the route of a call, finds out who calls, and serves it.
func (g *gateway) dispatch(c *call) error {
	found, ok := g.routeOf(c)
	if !ok {
		return errNoSuchPath()
	}
	c.route = found.name
	if !slices.Contains(found.methods, c.r.Method) {
		return c.notAllowed(found.methods)
	}
	if found.open {
		return found.serve(c.r.Context(), c)
	}
	if err := g.origins.Check(c.r); err != nil {
		return errCrossOrigin(err)
	}
	ctx, err := g.caller(c.r)
	if err != nil {
		return presentable(err)
	}
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	return found.serve(ctx, c)
}

func (g *gateway) routeOf(c *call) (route, bool) {
	if found, ok := g.routes[c.path]; ok {
		return found, true
	}
	if !c.problem {
		return route{}, false
	}
	if sequence, ok := contentPath(c.path); ok {
		return g.contentOf(sequence), true
	}
	if g.rest.serves(c.r.Method, c.path) {
		return route{name: restRoot, methods: []string{c.r.Method}, serve: g.serveREST}, true
	}
	if methods := g.rest.methods(c.path); len(methods) > 0 {
		return route{name: restRoot, methods: methods, serve: g.serveREST}, true
	}
	return route{}, false
}

// forgiven returns a path without what production systems put around it: a blank
// or a slash at the end, and at the front the second slash of a base URL that
// ends in one.
func forgiven(path string) string {
	return "/" + strings.Trim(strings.TrimRight(path, " /"), "/")
}

// health answers while the edge serves.
func (g *gateway) health(_ context.Context, c *call) error {
	c.send(http.StatusOK, "text/plain; charset=utf-8", []byte("ok\n"))
	return nil
}

// recover answers for a handler that panicked, so that its caller hears of it
// and no other call is disturbed.
func (g *gateway) recover(c *call) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p) // net/http's own way to drop a connection
	}
	cause := fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	if c.w.status != 0 {
		c.refusal = fault.Internal(cause)
		g.log(c, slog.LevelError)
		panic(http.ErrAbortHandler) // half an answer must not look whole
	}
	g.refuse(c, cause)
}

// harden sets the headers every answer carries: it is data, for its caller only.
func harden(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
}

// mirrorOf returns what a request came in, as far as its header says.
func mirrorOf(header http.Header) string {
	said, err := contentType(header)
	if err != nil {
		return ""
	}
	return said
}

// requestID returns the caller's own id of a request, or a new one.
func requestID(header http.Header) string {
	if id := header.Get("X-Request-Id"); plainToken(id) {
		return id
	}
	return rand.Text()
}

// plainToken tells whether a text can be an identifier: that of an envelope, by
// the rule of the exchange's protocol.
func plainToken(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	for _, r := range s {
		switch {
		case r >= 'A' && r <= 'Z', r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '_', r == ':', r == '-':
		default:
			return false
		}
	}
	return true
}

// call is one request on its way through the edge.
type call struct {
	w       *tally
	r       *http.Request
	path    string // without what is forgiven at its end
	route   string
	id      string
	started time.Time
	// answer is the media type of the answer.
	answer string
	// problem is set where refusals are problem details.
	problem bool
	refusal *fault.Error
	held    int64 // of the room for bodies
}

// mirror settles the media type of the answer for a request that came in one.
func (c *call) mirror(mediaType string) {
	c.answer = answerType(acceptOf(c.r.Header), mediaType)
}

// notAllowed refuses the method of a call.
func (c *call) notAllowed(methods []string) error {
	allowed := strings.Join(methods, ", ")
	c.w.Header().Set("Allow", allowed)
	return errMethod(allowed)
}

// tally remembers what was answered.
type tally struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (t *tally) WriteHeader(status int) {
	if t.status == 0 {
		t.status = status
	}
	t.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (t *tally) Write(data []byte) (int, error) {
	if t.status == 0 {
		t.status = http.StatusOK
	}
	n, err := t.ResponseWriter.Write(data)
	t.bytes += int64(n)
	return n, err //nolint:wrapcheck // an http.ResponseWriter passes it through
}

// Unwrap serves http.ResponseController.
func (t *tally) Unwrap() http.ResponseWriter { return t.ResponseWriter }
