package main

import (
	"fmt"

	"github.com/spf13/cobra"

	packetv1 "github.com/lienthong/lienthong/gen/lienthong/packet/v1"
	"github.com/lienthong/lienthong/hub/gateway"
	"github.com/lienthong/lienthong/packet"
)

func xsdCommand() *cobra.Command {
	const strict, structure = "strict", "structure"
	var mode string
	cmd := &cobra.Command{
		Use:   "xsd [TYPE]",
		Short: "Print the XML schema of one packet, or of all",
		Long: `Prints the XML schema, generated from the rules the hub itself applies, with the
meanings in Vietnamese and English. TYPE is dossier, progress, survey or statistic.

--mode strict is what is written: names, order, types and bounds of values.
--mode structure is names, order and cardinality only; every value is text. It fits
whatever can be read without a liberty in names or order.`,
		Example: `  lienthong packet xsd > lienthong.xsd
  lienthong packet xsd statistic
  lienthong packet xsd --mode structure dossier`,
		Args:      atMostOne("the type of a packet"),
		ValidArgs: typeWords(),
		RunE: func(cmd *cobra.Command, args []string) error {
			types, err := packetTypes(args)
			if err != nil {
				return err
			}
			modes := map[string]packet.XSDMode{strict: packet.XSDStrict, structure: packet.XSDStructure}
			chosen, ok := modes[mode]
			if !ok {
				return usage("--mode %q: strict and structure are allowed", mode)
			}
			schema, err := packet.XSD(chosen, types...)
			return printAll(cmd, schema, err)
		},
	}
	cmd.Flags().StringVar(&mode, "mode", strict, "what the schema holds documents to: strict or structure")
	offer(cmd, "mode", []string{strict, structure})
	return cmd
}

func openAPICommand() *cobra.Command {
	return &cobra.Command{
		Use:   "openapi",
		Short: "Print the OpenAPI document of the HTTPS edge",
		Long: `Prints the OpenAPI 3.1 document, in JSON, of the addresses that a hub serves on its
HTTPS edge, with the schemas of all packets. A hub itself serves it, too.`,
		Example: `  lienthong packet openapi > lienthong.openapi.json`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			document, err := gateway.OpenAPI()
			return printAll(cmd, document, err)
		},
	}
}

func fieldsCommand() *cobra.Command {
	const formatMarkdown = "markdown"
	var lang, format string
	cmd := &cobra.Command{
		Use:   "fields [TYPE]",
		Short: "Print the fields of one packet, or of all, with their rules",
		Long: `Prints what the standard says of each field: number, name, type, cardinality,
meaning, allowed values and rules. TYPE is dossier, progress, survey or statistic.

--format markdown is a page for people, in the language of --lang.
--format json is JSON Schema, as components of an OpenAPI 3.1 document, with the
meanings in both languages.`,
		Example: `  lienthong packet fields --lang vi dossier
  lienthong packet fields --format json statistic`,
		Args:      atMostOne("the type of a packet"),
		ValidArgs: typeWords(),
		RunE: func(cmd *cobra.Command, args []string) error {
			types, err := packetTypes(args)
			if err != nil {
				return err
			}
			say, err := speechOf(lang)
			if err != nil {
				return err
			}
			var page []byte
			switch format {
			case formatMarkdown:
				page, err = packet.FieldTables(packet.Language(say), types...)
			case formatJSON:
				page, err = packet.OpenAPI(types...)
			default:
				return usage("--format %q: markdown and json are allowed", format)
			}
			return printAll(cmd, page, err)
		},
	}
	langFlag(cmd, &lang, "language of the page")
	cmd.Flags().StringVar(&format, "format", formatMarkdown, "markdown or json")
	offer(cmd, "format", []string{formatMarkdown, formatJSON})
	return cmd
}

func packetTypes(words []string) ([]packetv1.PacketType, error) {
	var types []packetv1.PacketType
	for _, word := range words {
		typ, err := packetType(word)
		if err != nil {
			return nil, err
		}
		types = append(types, typ)
	}
	return types, nil
}

// printAll prints what was made, unless that failed. Output that cannot be written is
// errIncomplete.
func printAll(cmd *cobra.Command, content []byte, err error) error {
	if err != nil {
		return err
	}
	if _, err := cmd.OutOrStdout().Write(content); err != nil {
		return fmt.Errorf("%w: write: %w", errIncomplete, err)
	}
	return nil
}
