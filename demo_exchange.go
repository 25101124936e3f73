package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/nodes/receipt"
	"github.com/lienthong/lienthong/packet/samples"
)

// sentPacket is a packet that was accepted.
type sentPacket struct {
	door, sender, sample string
	envelope             *exchangev1.Envelope
	receipt              *exchangev1.Receipt
	statement            *exchangev1.Statement
}

// exchange sends every sample through every door and waits until everything has
// arrived.
func (d *demo) exchange(ctx context.Context) error {
	d.heading("Packets · Gói tin: every good sample through every door, every bad one refused")
	behind, stop := context.WithCancel(ctx)
	defer stop()
	var tasks sync.WaitGroup
	var pulled error
	tasks.Go(func() { pulled = d.pull(behind) })
	tasks.Go(func() { d.board.show(behind, d.out) })
	err := d.send(ctx)
	if err == nil {
		err = d.board.settled(ctx)
	}
	stop()
	tasks.Wait()
	if err := errors.Join(err, pulled); err != nil {
		return err
	}
	if err := d.board.exactlyOnce(); err != nil {
		return err
	}
	if err := d.inboxesEmpty(ctx); err != nil {
		return err
	}
	d.say("  every packet was delivered and acknowledged exactly once\n")
	d.report()
	return nil
}

// send sends what is good, what is bad, and something good again: had the bad
// left a trace, the sequences would show it.
func (d *demo) send(ctx context.Context) error {
	return inOrder(ctx, d.sendSamples, d.sendAgain, d.refuseSamples, d.refuseStranger, d.refuseImpostor, d.sendOneMore)
}

// sendSamples sends every good sample, door by door.
func (d *demo) sendSamples(ctx context.Context) error {
	run := uuid.Must(uuid.NewV7()).String()
	for _, door := range d.doors() {
		for _, sample := range samples.Good() {
			env, sender, err := d.envelope(sample, door.format)
			if err != nil {
				return err
			}
			env.Id = fmt.Sprintf("%s:%s:%s", run, strings.ReplaceAll(door.name, "/", "-"), sample.Name)
			env.Id = strings.ReplaceAll(env.GetId(), " ", "-")
			if err := d.submit(ctx, door, sender, sample.Name, env); err != nil {
				return err
			}
		}
	}
	return nil
}

// envelope puts a sample in an envelope, in the format of a door, and says which
// node sends it: that of the organisation in charge.
func (d *demo) envelope(sample samples.Sample, format exchangev1.Format) (*exchangev1.Envelope, *demoNode, error) {
	read, err := d.codec.Decode(sample.Type, sample.Format, sample.Content)
	if err != nil {
		return nil, nil, fmt.Errorf("sample %s: %w", sample.Name, err)
	}
	content := sample.Content
	if format != sample.Format {
		if content, err = d.codec.Encode(read.Message, format); err != nil {
			return nil, nil, fmt.Errorf("sample %s: %w", sample.Name, err)
		}
	}
	for _, n := range d.nodes {
		if code, _, _ := strings.Cut(n.id, "/"); code == read.Organisation().Level1().String() {
			return &exchangev1.Envelope{Type: sample.Type, Format: format, Content: content}, n, nil
		}
	}
	return nil, nil, fmt.Errorf("sample %s: no node of %s in the demo", sample.Name, read.Organisation())
}

// submit submits through a door and verifies the receipt as anybody can.
func (d *demo) submit(ctx context.Context, through door, sender *demoNode, sample string, env *exchangev1.Envelope) error {
	got, refused, err := through.submit(ctx, sender, env)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", through.name, sample, err)
	}
	if refused != nil {
		return fmt.Errorf("%s, %s: refused: %s", through.name, sample, strings.Join(refused.lines, "; "))
	}
	statement, err := receipt.Verify(got, d.hub.LedgerKey())
	if err != nil {
		return fmt.Errorf("%s, %s: %w", through.name, sample, err)
	}
	if err := receipt.MatchesContent(statement, env.GetContent()); err != nil {
		return fmt.Errorf("%s, %s: %w", through.name, sample, err)
	}
	d.board.submitted(sender.id, statement.GetSequence(), statement.GetRecipients())
	d.sent = append(d.sent, sentPacket{
		door: through.name, sender: sender.id, sample: sample, envelope: env, receipt: got, statement: statement,
	})
	return nil
}

// report shows the receipts and what was refused.
func (d *demo) report() {
	d.heading("Receipts · Biên nhận: signed by the hub's ledger key, each verified offline")
	for _, s := range d.sent {
		d.say("  %3d  %-12s %-11s %-26s → %-24s sha256 %x…\n", s.statement.GetSequence(), s.sender, s.door, s.sample,
			strings.Join(s.statement.GetRecipients(), ", "), s.statement.GetContentSha256()[:6])
	}
	d.say("  the first packet sent again: the same receipt, no second packet\n")
	d.heading("Refused · Từ chối: with every violation, and nothing of them stored")
	for _, r := range d.refused {
		d.say("  %s: %s\n", r.what, r.status)
		for _, line := range r.lines {
			d.say("      %s\n", line)
		}
	}
	d.say("  the next good packet got the next sequence, %d\n", d.sent[len(d.sent)-1].statement.GetSequence())
}

// sendAgain shows that the same submission gets the same receipt, not a second
// packet.
func (d *demo) sendAgain(ctx context.Context) error {
	first := d.sent[0]
	again, _, err := throughStream(ctx, d.node(first.sender), first.envelope)
	if err != nil {
		return fmt.Errorf("send again: %w", err)
	}
	if !bytes.Equal(again.GetLeaf(), first.receipt.GetLeaf()) || !bytes.Equal(again.GetGroup(), first.receipt.GetGroup()) {
		return errors.New("the same packet sent again got another receipt")
	}
	return nil
}

func (d *demo) refuseSamples(ctx context.Context) error {
	sender := d.node(provinceNode)
	for _, sample := range samples.Bad() {
		env := &exchangev1.Envelope{Type: sample.Type, Format: sample.Format, Content: sample.Content}
		if env.GetType() == packetv1.PacketType_PACKET_TYPE_UNSPECIFIED {
			env.Type = packetv1.PacketType_PACKET_TYPE_DOSSIER
		}
		for _, through := range []door{d.doors()[0], d.doors()[1]} {
			env.Id = uuid.NewString()
			accepted, refused, err := through.submit(ctx, sender, env)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", through.name, sample.Name, err)
			}
			if accepted != nil || len(refused.lines) < 2 {
				return fmt.Errorf("%s, %s: was not refused with its violations", through.name, sample.Name)
			}
			d.board.refusedOne(sender.id)
			if through.name == d.doors()[0].name {
				refused.what = sample.Name
				d.refused = append(d.refused, refused)
			}
		}
	}
	return nil
}

// refuseStranger calls without a certificate.
func (d *demo) refuseStranger(ctx context.Context) error {
	trusting := d.node(provinceNode).http.Transport.(*http.Transport).Clone() //nolint:forcetypeassert // made in open
	trusting.TLSClientConfig.GetClientCertificate = nil
	header := http.Header{"Content-Type": {"application/xml"}}
	got, err := d.call(ctx, &http.Client{Transport: trusting}, http.MethodPost, officialPath(packetv1.PacketType_PACKET_TYPE_DOSSIER), header, d.sent[0].envelope.GetContent())
	if err != nil {
		return err
	}
	if got.status != http.StatusUnauthorized {
		return fmt.Errorf("a caller without a certificate got HTTP %d", got.status)
	}
	return d.keepRefusal("no client certificate", got)
}

// refuseImpostor sends H41's packet as G12.
func (d *demo) refuseImpostor(ctx context.Context) error {
	at := slices.IndexFunc(d.sent, func(s sentPacket) bool { return s.sender == provinceNode && s.door == "REST/XML" })
	if at < 0 {
		return errors.New("no packet of H41 was sent")
	}
	stolen := d.sent[at].envelope
	header := http.Header{"Content-Type": {"application/xml"}}
	got, err := d.call(ctx, d.node(financeNode).http, http.MethodPost, officialPath(stolen.GetType()), header, stolen.GetContent())
	if err != nil {
		return err
	}
	if got.status != http.StatusForbidden {
		return fmt.Errorf("a packet in another organisation's name got HTTP %d", got.status)
	}
	d.board.refusedOne(financeNode)
	return d.keepRefusal("G12 sends a packet of H41", got)
}

func (d *demo) keepRefusal(what string, got answer) error {
	message, err := resultMessage(got)
	if err != nil {
		return err
	}
	d.refused = append(d.refused, &refusal{what: what, status: fmt.Sprintf("HTTP %d", got.status), lines: englishLines(message)})
	return nil
}

// sendOneMore checks that the refusals left no trace: the next packet accepted has
// the next sequence.
func (d *demo) sendOneMore(ctx context.Context) error {
	last := d.sent[len(d.sent)-1]
	env := &exchangev1.Envelope{
		Id: uuid.NewString(), Type: last.envelope.GetType(), Format: last.envelope.GetFormat(), Content: last.envelope.GetContent(),
	}
	if err := d.submit(ctx, d.doors()[0], d.node(last.sender), last.sample, env); err != nil {
		return fmt.Errorf("after the refusals: %w", err)
	}
	if got, want := d.sent[len(d.sent)-1].statement.GetSequence(), last.statement.GetSequence()+1; got != want {
		return fmt.Errorf("a refused packet was stored: the next sequence is %d, not %d", got, want)
	}
	return nil
}

// yourDossier is a dossier of its own, for what is tried after the run: its page
// shows what was tried and nothing else.
const yourDossier = "your-dossier.xml"

// writeSamples puts the samples where the printed commands find them.
func (d *demo) writeSamples(context.Context) error {
	dir := filepath.Join(d.dir, "samples")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	for _, sample := range append(samples.Good(), samples.Bad()...) {
		if err := os.WriteFile(filepath.Join(dir, sample.Name), sample.Content, 0o644); err != nil {
			return fmt.Errorf("samples: %w", err)
		}
		if sample.Name != "dossier.xml" {
			continue
		}
		own := bytes.Replace(sample.Content, []byte("0007</DocCode>"), []byte("0008</DocCode>"), 1)
		if err := os.WriteFile(filepath.Join(dir, yourDossier), own, 0o644); err != nil {
			return fmt.Errorf("samples: %w", err)
		}
	}
	return nil
}
