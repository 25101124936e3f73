package hub

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"github.com/lienthong/lienthong/hub/exchange"
	"github.com/lienthong/lienthong/hub/rpc"
)

// Config says where a hub keeps its data and where it listens. The tagged fields
// can stand in a YAML file, where an unknown key is an error. Numbers are from 1 on there;
// their tags say which are of bytes, and which can be 0, for no limit.
type Config struct {
	// DataDir holds everything the hub keeps: store, CA, ledger key, and the first
	// administrator's profile. It is made when it is not there.
	DataDir string `yaml:"data"`
	// Name of the hub, in certificates and receipts: lower-case letters, digits,
	// dots and hyphens. Fixed once the data directory is made.
	Name string `yaml:"name"`
	// GRPC is the address for nodes and administrators, mutual TLS.
	GRPC string `yaml:"grpc"`
	// HTTP is the address of the HTTPS edge for REST/XML clients.
	HTTP string `yaml:"http"`
	// Web is the address of the public pages: plain HTTP, meant to stand behind
	// the portal's own reverse proxy. Empty: no public pages.
	Web string `yaml:"web"`
	// Hosts are the names and IP addresses that clients reach the hub by; they
	// stand in its certificate. The first is what enrolment tokens name. Default:
	// the host of GRPC, the machine's host name and loopback.
	Hosts []string `yaml:"hosts"`
	// ContentBytes is the largest packet that comes in one piece; default 16 MiB.
	ContentBytes int `yaml:"content_bytes" number:"bytes"`
	// LargeBytes is the largest packet that is uploaded in pieces; default
	// DefaultLargeBytes.
	LargeBytes int `yaml:"large_bytes" number:"bytes"`
	// TransferIdle is how long a large packet may stand still on its way to the hub, or
	// from it, or travel slower than 32 KiB a second, before its stream is ended, to go on
	// later; default DefaultTransferIdle, at least MinTransferIdle.
	TransferIdle time.Duration `yaml:"transfer_idle"`
	// Strict refuses packets, of whatever node, that can only be read by taking
	// liberties. Otherwise that is each node's own setting, in the registry.
	Strict bool `yaml:"strict"`
	// CheckpointInterval is the time between checkpoints of the ledger, while packets
	// are accepted, written as 500ms or 1m; default a second, at least 10 ms.
	CheckpointInterval time.Duration `yaml:"checkpoint_interval"`
	// DeliveryAttempts is how often a delivery that its recipient rejects goes out
	// before it becomes a dead letter; default DefaultDeliveryAttempts, at most
	// MaxDeliveryAttempts.
	DeliveryAttempts int `yaml:"delivery_attempts"`
	// PacketsPerSecond and BytesPerSecond are what one node may send in a second, by
	// number and by content; 0 is no limit. An administrator can set others of a node.
	PacketsPerSecond uint64 `yaml:"packets_per_second" number:"unlimited"`
	BytesPerSecond   uint64 `yaml:"bytes_per_second" number:"bytes,unlimited"`
	// InboxBytes may wait for one node, before more for it is refused; default
	// DefaultInboxBytes. An administrator can set others of a node.
	InboxBytes uint64 `yaml:"inbox_bytes" number:"bytes"`
	// HandshakesPerSecond bounds how many connections are verified in a second, by gRPC
	// and HTTPS together, so that all of them, coming back at once, do not take the
	// processors from those that are back; default 500.
	HandshakesPerSecond int `yaml:"handshakes_per_second"`
	// Retention says how long packets are kept; default: for ever.
	Retention Retention `yaml:"retention"`
	// RetentionInterval is the time between two looks at what is kept too long; default
	// DefaultRetentionInterval, at least MinRetentionInterval.
	RetentionInterval time.Duration `yaml:"retention_interval"`

	// Logger and Clock default to slog.Default and time.Now.
	Logger *slog.Logger     `yaml:"-"`
	Clock  func() time.Time `yaml:"-"`
}

// Defaults for what a Config leaves out.
// How large a packet may be, in bytes, where nothing else is said, and what may be
// said.
const (
	DefaultContentBytes = 16 << 20
	MinContentBytes     = 1 << 10
	MaxContentBytes     = 1 << 30
	// DefaultLargeBytes is an attachment of 100 MiB in Base64, and a packet around it.
	DefaultLargeBytes = exchange.DefaultLargeBytes
)

// How often the ledger gets a checkpoint where nothing else is said, and at most.
const (
	DefaultCheckpointInterval = time.Second
	MinCheckpointInterval     = 10 * time.Millisecond
)

// How long a large packet may stand still where nothing else is said, and what may be
// said at least.
const (
	DefaultTransferIdle = exchange.DefaultTransferIdle
	MinTransferIdle     = 100 * time.Millisecond
)

// How often a rejected delivery goes out where nothing else is said, and at most: that
// takes some three and a half days, at five minutes from one attempt to the next.
const (
	DefaultDeliveryAttempts = exchange.DefaultAttempts
	MaxDeliveryAttempts     = 1000
)

// DefaultInboxBytes is a month of a million packets of two KiB a day: a recipient that
// is away for longer is not coming back by itself, and the disk is for everybody.
const DefaultInboxBytes = 64 << 30

// MaxHandshakesPerSecond is beyond what any machine can do.
const MaxHandshakesPerSecond = 1_000_000

const (
	DefaultName = "lienthong"
	DefaultGRPC = "127.0.0.1:8443"
	DefaultHTTP = "127.0.0.1:8444"
	DefaultWeb  = "127.0.0.1:8080"
)

// ReadConfig reads a YAML file over the given config: what the file names wins.
func ReadConfig(path string, over Config) (Config, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return over, fmt.Errorf("config: %w", err)
	}
	read := over
	if err := readYAML(content, &read); err != nil {
		return over, fmt.Errorf("config %s, %w", path, err)
	}
	return read, nil
}

func (c Config) withDefaults() (Config, error) {
	if err := c.checkAddresses(); err != nil {
		return c, err
	}
	c.Name, c.GRPC, c.HTTP = cmp.Or(c.Name, DefaultName), cmp.Or(c.GRPC, DefaultGRPC), cmp.Or(c.HTTP, DefaultHTTP)
	c.ContentBytes, c.LargeBytes = cmp.Or(c.ContentBytes, DefaultContentBytes), cmp.Or(c.LargeBytes, DefaultLargeBytes)
	c.CheckpointInterval = cmp.Or(c.CheckpointInterval, DefaultCheckpointInterval)
	c.TransferIdle = cmp.Or(c.TransferIdle, DefaultTransferIdle)
	c.RetentionInterval = cmp.Or(c.RetentionInterval, DefaultRetentionInterval)
	c.DeliveryAttempts = cmp.Or(c.DeliveryAttempts, DefaultDeliveryAttempts)
	c.InboxBytes = cmp.Or(c.InboxBytes, DefaultInboxBytes)
	c.HandshakesPerSecond = cmp.Or(c.HandshakesPerSecond, rpc.DefaultHandshakesPerSecond)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if len(c.Hosts) == 0 {
		c.Hosts = defaultHosts(c.GRPC)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	return c, c.checkNumbers()
}

func (c Config) checkAddresses() error {
	if c.DataDir == "" {
		return errors.New("a data directory is required (--data DIR)")
	}
	for _, door := range c.doors() {
		if _, _, err := net.SplitHostPort(door.address); door.address != "" && err != nil {
			return fmt.Errorf("%s address %q: host:port is expected, e.g. 127.0.0.1:8443 or :8443", door.name, door.address)
		}
	}
	for _, host := range c.Hosts {
		switch {
		case host == "":
			return errors.New("hosts: a host name or IP address is empty")
		case !isHost(host):
			return fmt.Errorf("host %q: a host name or an IP address is expected, without a port, e.g. hub.example.gov.vn", host)
		}
	}
	return nil
}

func (c Config) checkNumbers() error {
	for _, of := range []struct {
		name               string
		value, least, most int
	}{
		{"content_bytes", c.ContentBytes, MinContentBytes, MaxContentBytes},
		{"large_bytes", c.LargeBytes, MinContentBytes, MaxContentBytes},
		{"delivery_attempts", c.DeliveryAttempts, 1, MaxDeliveryAttempts},
		{"handshakes_per_second", c.HandshakesPerSecond, 1, MaxHandshakesPerSecond},
	} {
		if of.value < of.least || of.value > of.most {
			return fmt.Errorf("%s %d: %d to %d are allowed", of.name, of.value, of.least, of.most)
		}
	}
	for _, of := range []struct {
		name         string
		value, least time.Duration
	}{
		{"checkpoint_interval", c.CheckpointInterval, MinCheckpointInterval},
		{"transfer_idle", c.TransferIdle, MinTransferIdle},
		{"retention_interval", c.RetentionInterval, MinRetentionInterval},
	} {
		if of.value < of.least {
			return fmt.Errorf("%s %s: %s or more is allowed", of.name, of.value, of.least)
		}
	}
	return nil
}

// door is one of the addresses a hub listens at.
type door struct{ name, address string }

func (c Config) doors() [3]door {
	return [3]door{{"grpc", c.GRPC}, {"http", c.HTTP}, {"web", c.Web}}
}

// defaultHosts returns where clients may look for a hub that listens at an
// address: first the address itself, if it names one.
func defaultHosts(address string) []string {
	var hosts []string
	add := func(host string) {
		if host != "" && !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	if host, _, err := net.SplitHostPort(address); err == nil {
		if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
			add(host)
		}
	}
	if name, err := os.Hostname(); err == nil {
		add(name)
	}
	add("localhost")
	add("127.0.0.1")
	add("::1")
	return hosts
}
