// Package samples holds packets to try things with: good ones from the province
// H41 (Nghệ An) and the ministry G12 (Bộ Tài chính), and bad ones. People and
// enterprises in them do not exist. Sent in the order of Good, they tell the
// story of one dossier of each, from its reception to its result.
package samples

import (
	"embed"
	"path"

	exchangev1 "github.com/lienthong/lienthong/gen/lienthong/exchange/v1"
	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
)

//go:embed *.xml *.json
var files embed.FS

// Sample is one packet as a sender would send it.
type Sample struct {
	// Name of the file.
	Name string
	// Type is unspecified where the content is no known packet.
	Type    packetv1.PacketType
	Format  exchangev1.Format
	Content []byte
}

// Good returns packets that are accepted without a warning.
func Good() []Sample {
	return []Sample{
		read("dossier.xml", packetv1.PacketType_PACKET_TYPE_DOSSIER),
		read("progress.xml", packetv1.PacketType_PACKET_TYPE_PROGRESS),
		read("dossier-returned.json", packetv1.PacketType_PACKET_TYPE_DOSSIER),
		read("dossier-supplement.xml", packetv1.PacketType_PACKET_TYPE_DOSSIER),
		read("progress.json", packetv1.PacketType_PACKET_TYPE_PROGRESS),
		read("dossier-returned.xml", packetv1.PacketType_PACKET_TYPE_DOSSIER),
		read("survey.xml", packetv1.PacketType_PACKET_TYPE_SURVEY),
		read("survey.json", packetv1.PacketType_PACKET_TYPE_SURVEY),
		read("statistic.xml", packetv1.PacketType_PACKET_TYPE_STATISTIC),
		read("statistic.json", packetv1.PacketType_PACKET_TYPE_STATISTIC),
	}
}

// Bad returns packets that are refused.
func Bad() []Sample {
	return []Sample{
		read("bad-statistic.xml", packetv1.PacketType_PACKET_TYPE_STATISTIC),
		read("bad-dossier.json", packetv1.PacketType_PACKET_TYPE_DOSSIER),
		read("malformed.xml", packetv1.PacketType_PACKET_TYPE_PROGRESS),
		read("unknown-packet.xml", packetv1.PacketType_PACKET_TYPE_UNSPECIFIED),
	}
}

func read(name string, typ packetv1.PacketType) Sample {
	content, err := files.ReadFile(name)
	if err != nil {
		return Sample{Name: name, Type: typ} // cannot be: the files are in the binary
	}
	s := Sample{Name: name, Type: typ, Format: exchangev1.Format_FORMAT_XML, Content: content}
	if path.Ext(name) == ".json" {
		s.Format = exchangev1.Format_FORMAT_JSON
	}
	return s
}
