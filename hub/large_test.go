package hub_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"github.com/lienthong/lienthong/certs"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	registryv1 "github.com/lienthong/lienthong/gen/lienthong/registry/v1"
	"github.com/lienthong/lienthong/hub"
	"github.com/lienthong/lienthong/hub/fault"
	"github.com/lienthong/lienthong/hub/hubtest"
)

// largeDossier is a dossier whose attachment has that many bytes of Base64.
func largeDossier(t *testing.T, size int) (*exchangev1.Envelope, []byte) {
	t.Helper()
	env := envelope(t, "large", "dossier.xml")
	before, rest, _ := bytes.Cut(env.GetContent(), []byte("<Base64>"))
	_, after, found := bytes.Cut(rest, []byte("</Base64>"))
	if !found {
		t.Fatal("the sample has no attachment")
	}
	content := bytes.Join([][]byte{before, []byte("<Base64>"), bytes.Repeat([]byte("QUJD"), size/4), []byte("</Base64>"), after}, nil)
	env.Content = nil
	return env, content
}

// withLarge is a hub with a large packet, sent from the province to the portal.
func withLarge(t *testing.T) (h *hubtest.Hub, province, portal *member, content []byte) {
	t.Helper()
	h = hubtest.Start(t)
	province = join(t, h, "H41/motcua", registryv1.NodeKind_NODE_KIND_ONE_STOP)
	portal = join(t, h, "G22/portal", registryv1.NodeKind_NODE_KIND_PORTAL)
	h.Grant("H41", "G22/portal")
	env, content := largeDossier(t, 20<<20)
	if _, err := province.SubmitLarge(t.Context(), env, bytes.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
	return h, province, portal, content
}

func fetchAs(t *testing.T, client *http.Client, url, accept string) (status int, body []byte, contentType string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body, resp.Header.Get("Content-Type")
}

// Systems that only speak HTTP learn of a large packet, and get it as it was sent.
func TestLargePacketsAtTheEdge(t *testing.T) {
	t.Parallel()
	h, _, portal, content := withLarge(t)
	status, body, _ := fetchAs(t, portal.http, h.EdgeURL()+"/Delivery/Pull", "application/xml")
	if status != http.StatusOK || !strings.Contains(string(body), "/v1/packets/1/content") || len(body) > 4<<10 {
		t.Errorf("pull: %d %.400s; want the address of the content", status, body)
	}
	for _, accept := range []string{"", "application/xml"} {
		status, body, contentType := fetchAs(t, portal.http, h.EdgeURL()+"/v1/packets/1/content", accept)
		if status != http.StatusOK || !bytes.Equal(body, content) || contentType != "application/xml" {
			t.Errorf("content, Accept %q: %d, %d bytes of %s; want the bytes that were sent", accept, status, len(body), contentType)
		}
	}
	status, body, _ = fetchAs(t, portal.http, h.EdgeURL()+"/v1/packets/1/content", "application/json")
	if status != http.StatusBadRequest || !strings.Contains(string(body), "format_unavailable") {
		t.Errorf("content as JSON: %d %.300s; want format_unavailable", status, body)
	}
	status, body, _ = fetchAs(t, portal.http, h.EdgeURL()+"/v1/packets/1", "application/json")
	if status != http.StatusOK || !strings.Contains(string(body), fmt.Sprintf(`"size":"%d"`, len(content))) {
		t.Errorf("packet: %d %.300s; want its upload", status, body)
	}
}

// A backup has the contents of large packets, and fsck misses those that are not there
// or have changed.
func TestLargePacketsAreBackedUpAndChecked(t *testing.T) {
	t.Parallel()
	h, _, portal, content := withLarge(t)
	backup := filepath.Join(t.TempDir(), "backup")
	if _, err := hub.MakeBackup(t.Context(), h.DataDir, backup, time.Now); err != nil {
		t.Fatal(err)
	}
	h.Stop()
	restored := hubtest.Start(t, func(c *hub.Config) { c.DataDir = backup })
	status, body, _ := fetchAs(t, portal.http, restored.EdgeURL()+"/v1/packets/1/content", "")
	if status != http.StatusOK || !bytes.Equal(body, content) {
		t.Errorf("from a backup: %d, %d bytes; want the content", status, len(body))
	}
	restored.Stop()
	found := func() (rules []string) {
		if _, err := hub.Check(t.Context(), backup, hub.CheckOptions{}, func(f hub.Finding) {
			if !f.Notice {
				rules = append(rules, string(f.Rule))
			}
		}); err != nil {
			t.Fatal(err)
		}
		return rules
	}
	if rules := found(); len(rules) > 0 {
		t.Errorf("a sound hub: found %v", rules)
	}
	files, err := filepath.Glob(filepath.Join(backup, "blobs", "accepted", "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("contents kept: %v %v; want one", files, err)
	}
	kept, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	kept[len(kept)/2] ^= 1
	if err := os.WriteFile(files[0], kept, 0o600); err != nil {
		t.Fatal(err)
	}
	if rules := found(); len(rules) != 1 || rules[0] != string(hub.RuleLarge) {
		t.Errorf("with a bit flipped: found %v; want %s", rules, hub.RuleLarge)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if rules := found(); len(rules) != 1 || rules[0] != string(hub.RuleLarge) {
		t.Errorf("with the file gone: found %v; want %s", rules, hub.RuleLarge)
	}
}

// What a node does wrong with uploads is answered, whatever client it uses.
func TestUploadsThatAreRefused(t *testing.T) {
	t.Parallel()
	h, province, portal, _ := withLarge(t)
	own, others := transfer(t, h, province), transfer(t, h, portal)
	content := &exchangev1.Upload{Size: 10, Sha256: make([]byte, 32)}
	start := func(s *exchangev1.UploadStart) *exchangev1.UploadRequest {
		return &exchangev1.UploadRequest{Part: &exchangev1.UploadRequest_Start{Start: s}}
	}
	chunk := func(size int) *exchangev1.UploadRequest {
		return &exchangev1.UploadRequest{Part: &exchangev1.UploadRequest_Chunk{Chunk: make([]byte, size)}}
	}
	begin := start(&exchangev1.UploadStart{Id: "a", Content: content})
	for name, c := range map[string]struct {
		messages []*exchangev1.UploadRequest
		code     codes.Code
		reason   string
	}{
		"nothing said":        {[]*exchangev1.UploadRequest{{}}, codes.InvalidArgument, "request_invalid"},
		"no start":            {[]*exchangev1.UploadRequest{chunk(1)}, codes.InvalidArgument, "request_invalid"},
		"two starts":          {[]*exchangev1.UploadRequest{begin, begin}, codes.InvalidArgument, "request_invalid"},
		"no content":          {[]*exchangev1.UploadRequest{start(&exchangev1.UploadStart{Id: "a"})}, codes.InvalidArgument, "request_invalid"},
		"a piece too large":   {[]*exchangev1.UploadRequest{begin, chunk(1<<20 + 1)}, codes.InvalidArgument, "request_invalid"},
		"too large":           {[]*exchangev1.UploadRequest{start(&exchangev1.UploadStart{Id: "b", Content: &exchangev1.Upload{Size: 1 << 40, Sha256: make([]byte, 32)}})}, codes.ResourceExhausted, "packet_too_large"},
		"without end":         {[]*exchangev1.UploadRequest{start(&exchangev1.UploadStart{Id: "b", Content: &exchangev1.Upload{Size: 1 << 63, Sha256: make([]byte, 32)}})}, codes.ResourceExhausted, "packet_too_large"},
		"from elsewhere":      {[]*exchangev1.UploadRequest{start(&exchangev1.UploadStart{Id: "c", Content: content, Offset: 1 << 63})}, codes.OutOfRange, "upload_offset"},
		"another content":     {[]*exchangev1.UploadRequest{start(&exchangev1.UploadStart{Id: "d", Content: content}), chunk(10)}, codes.InvalidArgument, "upload_other"},
		"more than announced": {[]*exchangev1.UploadRequest{start(&exchangev1.UploadStart{Id: "e", Content: content}), chunk(11)}, codes.InvalidArgument, "upload_other"},
		"accepted already":    {[]*exchangev1.UploadRequest{start(&exchangev1.UploadStart{Id: "large", Content: content})}, codes.AlreadyExists, "packet_accepted"},
	} {
		stream, err := own.Upload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range c.messages {
			if err := stream.Send(m); err != nil {
				break // the answer says why
			}
		}
		_, err = stream.CloseAndRecv()
		if told := fault.From(err); told.Code != c.code || told.Reason != c.reason || told.VI == "" {
			t.Errorf("%s: %v; want %s %s", name, err, c.code, c.reason)
		}
	}
	if _, err := others.GetUpload(t.Context(), &exchangev1.GetUploadRequest{Id: "a"}); fault.From(err).Reason != "upload_missing" {
		t.Errorf("another's upload: %v; want upload_missing", err)
	}
	if _, err := own.DropUpload(t.Context(), &exchangev1.DropUploadRequest{Id: "a"}); err != nil {
		t.Error(err)
	}
	stranger := transfer(t, h, join(t, h, "G12/portal", registryv1.NodeKind_NODE_KIND_PORTAL))
	for name, c := range map[string]struct {
		from   exchangev1.TransferServiceClient
		offset uint64
		reason string
	}{
		"by a stranger":  {stranger, 0, "packet_not_found"},
		"beyond the end": {others, 1 << 40, "offset_beyond"},
	} {
		stream, err := c.from.Download(t.Context(), &exchangev1.DownloadRequest{Sequence: 1, Offset: c.offset})
		if err == nil {
			_, err = stream.Recv()
		}
		if fault.From(err).Reason != c.reason {
			t.Errorf("download %s: %v; want %s", name, err, c.reason)
		}
	}
	env, _ := largeDossier(t, 1<<20)
	env.Id, env.Upload = "f", content
	if _, err := province.Submit(t.Context(), env); fault.From(err).Reason != "upload_missing" {
		t.Errorf("submit without upload: %v; want upload_missing", err)
	}
}

// Streams of contents are bounded: each holds a piece in the hub's memory.
func TestTransfersAreBounded(t *testing.T) {
	t.Parallel()
	h, _, portal, _ := withLarge(t)
	client := transfer(t, h, portal)
	download := func(ctx context.Context) error {
		stream, err := client.Download(ctx, &exchangev1.DownloadRequest{Sequence: 1})
		if err == nil {
			_, err = stream.Recv() // and no more: it is held up by its window
		}
		return err
	}
	ctx, end := context.WithCancel(t.Context())
	for range 8 {
		if err := download(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := download(t.Context()); fault.From(err).Reason != "too_many_transfers" || fault.From(err).RetryAfter == 0 {
		t.Errorf("a ninth: %v; want too_many_transfers, and when to come back", err)
	}
	end()
	// They end as soon as the hub hears of it.
	p, err := portal.GetPacket(t.Context(), 1, exchangev1.Format_FORMAT_UNSPECIFIED)
	if err != nil {
		t.Fatal(err)
	}
	r := portal.Open(t.Context(), p)
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Errorf("after eight have ended: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// transfer is a client past the SDK.
func transfer(t *testing.T, h *hubtest.Hub, m *member) exchangev1.TransferServiceClient {
	t.Helper()
	at, source, err := certs.LoadProfile(m.profile, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(h.GRPCAddress(), grpc.WithTransportCredentials(credentials.NewTLS(certs.ClientConfig(source, at.ServerName(), nil))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return exchangev1.NewTransferServiceClient(conn)
}
