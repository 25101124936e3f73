package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/lienthong/lienthong/certs"
	enterprisev1 "github.com/lienthong/lienthong/gen/lienthong/enterprise/v1"
	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

// showOnePacket fetches a packet that went in as JSON, as official XML.
func (d *demo) showOnePacket(ctx context.Context) error {
	at := slices.IndexFunc(d.sent, func(s sentPacket) bool {
		return s.envelope.GetFormat() == exchangev1.Format_FORMAT_JSON && s.envelope.GetType() == packetv1.PacketType_PACKET_TYPE_PROGRESS
	})
	if at < 0 {
		return errors.New("no progress packet went in as JSON")
	}
	sequence := d.sent[at].statement.GetSequence()
	path := "/v1/packets/" + strconv.FormatUint(sequence, 10) + "/content"
	got, err := d.call(ctx, d.node(portalNode).http, http.MethodGet, path, http.Header{"Accept": {"application/xml"}}, nil)
	if err != nil {
		return err
	}
	if got.status != http.StatusOK {
		return fmt.Errorf("fetch packet %d: HTTP %d", sequence, got.status)
	}
	read, err := d.codec.Decode(packetv1.PacketType_PACKET_TYPE_PROGRESS, exchangev1.Format_FORMAT_XML, got.body)
	if err != nil || len(read.Warnings) > 0 {
		return fmt.Errorf("packet %d as XML: %d warnings: %w", sequence, len(read.Warnings), err)
	}
	d.heading(fmt.Sprintf("Official XML · XML chuẩn: packet %d went in as JSON, the portal fetches it as XML", sequence))
	d.say("%s\n", indented(string(got.body)))
	return nil
}

func indented(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}

// ask lets H41 ask the enterprise register through the hub.
func (d *demo) ask(ctx context.Context) error {
	d.heading("Look-up · Tra cứu: H41 asks the enterprise register through the hub; by right, audited")
	client := enterprisev1.NewEnterpriseServiceClient(d.node(provinceNode).client.Via(registerNode))
	resp, err := client.LookUpEnterprise(ctx, &enterprisev1.LookUpEnterpriseRequest{Code: "2900000001"})
	for status.Code(err) == codes.Unavailable && ctx.Err() == nil { // the register is still connecting
		resp, err = client.LookUpEnterprise(ctx, &enterprisev1.LookUpEnterpriseRequest{Code: "2900000001"})
	}
	if err != nil {
		return fmt.Errorf("look up: %w", err)
	}
	e := resp.GetEnterprise()
	d.say("  %s  %s\n              %s\n              represented by %s; %s\n", e.GetCode(), e.GetName(), e.GetAddress(), e.GetRepresentative(),
		strings.ToLower(strings.TrimPrefix(e.GetStatus().String(), "ENTERPRISE_STATUS_")))
	if _, err := client.LookUpEnterprise(ctx, &enterprisev1.LookUpEnterpriseRequest{Code: "2900000009"}); status.Code(err) != codes.NotFound {
		return fmt.Errorf("an unknown enterprise got: %w", err)
	}
	d.say("  2900000009  not in the register\n")
	stranger := enterprisev1.NewEnterpriseServiceClient(d.node(financeNode).client.Via(registerNode))
	if _, err := stranger.LookUpEnterprise(ctx, &enterprisev1.LookUpEnterpriseRequest{Code: "2900000001"}); status.Code(err) != codes.PermissionDenied {
		return fmt.Errorf("a node without a right got: %w", err)
	}
	d.say("  G12 asks without a right: refused\n")
	return nil
}

// LookUpEnterprise implements EnterpriseService.
func (r *register) LookUpEnterprise(_ context.Context, req *enterprisev1.LookUpEnterpriseRequest) (*enterprisev1.LookUpEnterpriseResponse, error) {
	r.asked()
	entry, ok := r.entries[req.GetCode()]
	if !ok {
		return nil, status.Error(codes.NotFound, "the register has no enterprise with this code")
	}
	return &enterprisev1.LookUpEnterpriseResponse{Enterprise: entry}, nil
}

// showPage waits until the public pages know everything and reads one as a
// citizen's browser would.
func (d *demo) showPage(ctx context.Context) error {
	if err := d.hub.WaitForViews(ctx, d.sent[len(d.sent)-1].statement.GetSequence()); err != nil {
		return fmt.Errorf("public pages: %w", err)
	}
	at := slices.IndexFunc(d.sent, func(s sentPacket) bool { return s.envelope.GetType() == packetv1.PacketType_PACKET_TYPE_PROGRESS })
	if at < 0 {
		return errors.New("no progress packet was sent")
	}
	page := d.hub.WebURL() + "/ho-so?code=" + url.QueryEscape(d.sent[at].statement.GetSubject())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return fmt.Errorf("public page: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("public page: %w", err)
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("public page: HTTP %d: %w", resp.StatusCode, err)
	}
	d.heading("Public pages · Trang công khai: a citizen looks the dossier up, personal data masked")
	d.say("  %s\n  %s\n", page, d.hub.WebURL()+"/thong-ke")
	return nil
}

// stay keeps everything running and says what to try.
func (d *demo) stay(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		self = "lienthong"
	}
	province, finance := d.node(provinceNode).profile, d.node(financeNode).profile
	for _, profile := range []string{province, finance} {
		if err := writeCurlConfig(profile); err != nil {
			return err
		}
	}
	curl := func(profile, rest string) string {
		return "curl -K " + filepath.Join(profile, curlConfig) + " " + rest
	}
	next := d.sent[len(d.sent)-1].statement.GetSequence() + 1
	edge, sample := d.hub.EdgeURL(), filepath.Join(d.dir, "samples")
	d.heading("Still running · Đang chạy: try in another terminal (Ctrl-C here ends it)")
	for _, try := range []struct{ what, line string }{
		{"H41 sends a dossier", curl(province, fmt.Sprintf("-H 'Content-Type: application/xml' --data-binary @%s/%s %s/Document/SyncDocument", sample, yourDossier, edge))},
		{"H41 sends bad statistics: every violation, in both languages", curl(province, fmt.Sprintf("-H 'Content-Type: application/xml' --data-binary @%s/bad-statistic.xml %s/Statistic/UpdateStatistic", sample, edge))},
		{"G12 fetches what is addressed to it", curl(finance, fmt.Sprintf("-H 'Accept: application/xml' '%s/Delivery/Pull?max=1'", edge))},
		{"G12 acknowledges it, by its DeliveryId", curl(finance, fmt.Sprintf(`-H 'Content-Type: application/json' -d '{"DeliveryId":["%d"]}' %s/Delivery/Acknowledge`, next, edge))},
		{"the same packet from the command line: the same receipt", fmt.Sprintf("%s node submit --profile %s --receipts %s %s/%s", self, province, filepath.Join(d.dir, "receipts"), sample, yourDossier)},
		{"check that receipt offline", fmt.Sprintf("%s verify %s/%d-%s.receipt.json --profile %s", self, filepath.Join(d.dir, "receipts"), next, yourDossier, province)},
		{"check a file without sending it", fmt.Sprintf("%s packet validate %s/bad-statistic.xml", self, sample)},
		{"administer the hub", fmt.Sprintf("%s admin --profile %s node list", self, filepath.Join(d.dir, "hub", "admin"))},
	} {
		d.say("\n  # %s\n  %s\n", try.what, try.line)
	}
	d.heading("Live · Trực tiếp: what this program's own nodes do, and receive of what you send")
	d.board.show(ctx, d.out)
	return nil
}

// curlConfig holds what curl needs to call the hub as a node.
const curlConfig = "curl.conf"

func writeCurlConfig(profile string) error {
	path := func(name string) string { return strconv.Quote(filepath.Join(profile, name)) }
	content := fmt.Sprintf("cacert = %s\ncert = %s\nkey = %s\nsilent\nshow-error\n",
		path(certs.RootsFile), path(certs.CertificateFile), path(certs.KeyFile))
	if err := os.WriteFile(filepath.Join(profile, curlConfig), []byte(content), 0o600); err != nil {
		return fmt.Errorf("curl configuration: %w", err)
	}
	return nil
}
