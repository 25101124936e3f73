package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	ledgerv1 "github.com/lienthong/lienthong/gen/lienthong/ledger/v1"
	"github.com/lienthong/lienthong/hub/fault"
)

const (
	restRoot      = "/v1"
	packetsRoot   = "/v1/packets/"
	contentSuffix = "/content"
	contentRoute  = packetsRoot + "{sequence}" + contentSuffix
	ledgerRoot    = "/v1/ledger/"
	deadLetters   = "/v1/dead-letters"
)

// rest is the API that the .proto annotations describe, on grpc-gateway.
type rest struct {
	mux *runtime.ServeMux
}

// restWriter carries a call's error out of grpc-gateway, to be answered like any
// other, and the probe's finding.
type restWriter struct {
	http.ResponseWriter
	probe   bool
	matched bool
	err     error
}

// newREST registers the services through their clients: what the server checks, it
// checks here as well.
func newREST(exchange exchangev1.ExchangeServiceClient, ledger ledgerv1.LedgerServiceClient) (*rest, error) {
	none := func(string) (string, bool) { return "", false }
	mux := runtime.NewServeMux(
		// The only marshaler: grpc-gateway would match others by the whole Accept
		// header, character by character.
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &strictJSON{runtime.JSONPb{
			MarshalOptions: protojson.MarshalOptions{EmitUnpopulated: true},
		}}),
		runtime.WithIncomingHeaderMatcher(none),
		runtime.WithOutgoingHeaderMatcher(none),
		runtime.WithOutgoingTrailerMatcher(none),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithMiddlewares(probing),
		runtime.WithForwardResponseOption(located),
		runtime.WithErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
			carry(w, restError(err))
		}),
		runtime.WithRoutingErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, _ int) {
			carry(w, errNoSuchPath())
		}),
	)
	err := errors.Join(
		exchangev1.RegisterExchangeServiceHandlerClient(context.Background(), mux, exchange),
		ledgerv1.RegisterLedgerServiceHandlerClient(context.Background(), mux, ledger))
	if err != nil {
		return nil, fmt.Errorf("gateway: register REST handlers: %w", err)
	}
	return &rest{mux: mux}, nil
}

// serves tells whether a path is served with a method. It asks the router
// itself, with a request that stops before the handler.
func (a *rest) serves(method, path string) bool {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	w := &restWriter{probe: true}
	a.mux.ServeHTTP(w, &http.Request{Method: method, URL: &url.URL{Path: path}, Header: http.Header{}})
	return w.matched
}

// methods returns all methods a path is served with; none where there is no such
// path.
func (a *rest) methods(path string) []string {
	var served []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if a.serves(method, path) {
			served = append(served, method)
		}
	}
	return served
}

func probing(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
		if p, ok := w.(*restWriter); ok && p.probe {
			p.matched = true
			return
		}
		next(w, r, params)
	}
}

func carry(w http.ResponseWriter, err error) {
	if p, ok := w.(*restWriter); ok {
		p.err = err
	}
}

// located adds the headers of a receipt.
func located(_ context.Context, w http.ResponseWriter, m proto.Message) error {
	if accepted, ok := m.(*exchangev1.SubmitResponse); ok {
		receiptHeaders(w.Header(), accepted.GetStatement())
	}
	return nil
}

// restError tells the Exchange's refusals from grpc-gateway's own, which are
// about what the caller sent; its words are for programmers, and for the log.
func restError(err error) error {
	var told *fault.Error
	if errors.As(err, &told) {
		return told
	}
	if s, ok := status.FromError(err); !ok || s.Code() != codes.InvalidArgument {
		return fault.Internal(err)
	}
	return fault.New(codes.InvalidArgument, "request_invalid",
		"the request is not what this address takes; /openapi.json describes that",
		"yêu cầu không đúng dạng địa chỉ này nhận; xem /openapi.json").Because(err)
}

// serveREST serves a call by grpc-gateway. Only what the API needs of the
// request gets there: grpc-gateway would hand credentials and addresses on.
func (g *gateway) serveREST(ctx context.Context, c *call) error {
	if sequence, ok := packetPath(c.path); ok && prefersXML(acceptOf(c.r.Header)) {
		c.w.Header().Set("Content-Location", packetsRoot+sequence+contentSuffix)
		return g.content(ctx, c, sequence)
	}
	if err := checkREST(c); err != nil {
		return err
	}
	body, err := g.jsonBody(c)
	if err != nil {
		return err
	}
	if c.r.Method == http.MethodPost && !strings.HasSuffix(c.path, ":pull") {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), callWithin)
		defer cancel()
	}
	method := c.r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http leaves the body out
	}
	sent := &restBody{data: body}
	r, err := http.NewRequestWithContext(ctx, method, "/", sent)
	if err != nil {
		return fmt.Errorf("pass request on: %w", err)
	}
	r.URL.Path, r.URL.RawQuery = c.path, c.r.URL.RawQuery
	w := &restWriter{ResponseWriter: c.w}
	g.rest.mux.ServeHTTP(w, r)
	if sent.refused != nil {
		return sent.refused
	}
	return w.err
}

// restBody is the body of a call on its way through grpc-gateway, which turns every
// error of reading it into text: what is wrong with it comes back beside that.
type restBody struct {
	data    []byte
	read    int
	refused *fault.Error
}

// Read implements io.Reader.
func (b *restBody) Read(p []byte) (int, error) {
	if b.read == len(b.data) {
		return 0, io.EOF
	}
	n := copy(p, b.data[b.read:])
	b.read += n
	return n, nil
}

// Close implements io.Closer.
func (b *restBody) Close() error { return nil }

// jsonBody reads the body of a call under /v1. Where there is none, it is of no type:
// many clients say one with every call.
func (g *gateway) jsonBody(c *call) ([]byte, error) {
	if c.r.ContentLength == 0 {
		return nil, nil
	}
	mediaType, err := contentType(c.r.Header)
	if err != nil || (mediaType != "" && mediaType != typeJSON) {
		return nil, errNotJSONType(strings.Join(c.r.Header.Values("Content-Type"), ", "))
	}
	return g.body(c)
}

// content hands out a packet as a document.
func (g *gateway) content(ctx context.Context, c *call, sequence string) error {
	number, err := strconv.ParseUint(sequence, 10, 64)
	if err != nil {
		return errNoSuchPath()
	}
	mediaType := documentType(acceptOf(c.r.Header))
	format, _ := formatOf(mediaType)
	resp, err := g.exchange.GetPacket(ctx, &exchangev1.GetPacketRequest{Sequence: number, Format: format})
	if err != nil {
		return err //nolint:wrapcheck // edgeConn has made it presentable
	}
	accepted := resp.GetPacket()
	if mediaType == "" {
		mediaType = typeOf(accepted.GetEnvelope().GetFormat())
	}
	var large *download
	if accepted.GetEnvelope().GetUpload() != nil {
		if large, err = g.open(ctx, accepted); err != nil {
			return err
		}
		defer large.close()
	}
	h := c.w.Header()
	h.Set("Vary", "Accept")
	h.Set("X-LienThong-Sequence", sequence)
	h.Set("X-LienThong-Envelope-Id", accepted.GetEnvelope().GetId())
	if large != nil {
		return large.send(c, mediaType)
	}
	c.send(http.StatusOK, mediaType, accepted.GetEnvelope().GetContent())
	return nil
}

// typeOf returns the media type of a sender's own bytes. No charset is said:
// the bytes may be UTF-16 and say so themselves.
func typeOf(format exchangev1.Format) string {
	switch format {
	case exchangev1.Format_FORMAT_XML:
		return typeXML
	case exchangev1.Format_FORMAT_JSON:
		return typeJSON
	default:
		return typeProtobuf
	}
}

// packetPath returns the sequence in /v1/packets/{sequence}.
func packetPath(path string) (string, bool) {
	sequence, ok := strings.CutPrefix(path, packetsRoot)
	_, err := strconv.ParseUint(sequence, 10, 64)
	return sequence, ok && err == nil
}

// contentPath returns the sequence in /v1/packets/{sequence}/content.
func contentPath(path string) (string, bool) {
	rest, ok := strings.CutSuffix(path, contentSuffix)
	if !ok {
		return "", false
	}
	return packetPath(rest)
}

// strictJSON is Protobuf's JSON that reads one whole value and nothing it does
// not know.
type strictJSON struct {
	runtime.JSONPb
}

// NewDecoder implements runtime.Marshaler. An empty body is io.EOF, which
// grpc-gateway takes for an empty message.
func (m *strictJSON) NewDecoder(r io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(v any) error {
		sent, ok := r.(*restBody)
		if !ok {
			return fmt.Errorf("body is a %T", r)
		}
		if len(bytes.TrimSpace(sent.data)) == 0 {
			return io.EOF
		}
		if json.Valid(sent.data) && m.Unmarshal(sent.data, v) == nil {
			return nil
		}
		want, err := messageOf(v)
		if err != nil {
			return err
		}
		sent.refused = misread(sent.data, want)
		return sent.refused
	})
}

// messageOf describes the message that grpc-gateway reads a body into: a message, or
// the field of one.
func messageOf(v any) (protoreflect.MessageDescriptor, error) {
	if m, ok := v.(proto.Message); ok {
		return m.ProtoReflect().Descriptor(), nil
	}
	if field := reflect.TypeOf(v); field != nil && field.Kind() == reflect.Pointer && field.Elem().Kind() == reflect.Pointer {
		if m, ok := reflect.Zero(field.Elem()).Interface().(proto.Message); ok {
			return m.ProtoReflect().Descriptor(), nil
		}
	}
	return nil, fmt.Errorf("a body is read into a %T", v)
}
