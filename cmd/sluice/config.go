package main

import (
	"io"
	"text/tabwriter"

	"sluice/configs"
)

type configCommand struct {
	sources
	JSON    bool   `name:"json" help:"As JSON."`
	Example string `enum:"default,production," default:"" help:"Print a documented file instead: default or production."`
}

// Help teaches by examples.
func (configCommand) Help() string {
	return `Sources, each over the one before: defaults, YAML file, .env file, environment, flags.

  sluice config                                  every setting, its value, its variable and where it came from
  sluice config --example default > sluice.yaml  a documented file to start from
  DB_ENABLED=true sluice config --json`
}

// Run prints the configuration.
func (c *configCommand) Run(s surroundings) error {
	switch c.Example {
	case "default":
		_, err := io.WriteString(s.stdout, configs.DefaultYAML)
		return err
	case "production":
		_, err := io.WriteString(s.stdout, configs.ProductionYAML)
		return err
	}
	l, err := c.load(s, nil)
	if err != nil {
		return err
	}
	if err := l.FindKeys(); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.stdout, l.Settings())
	}
	w := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	say(w, "SETTING\tVALUE\tVARIABLE\tFROM\n")
	for _, x := range l.Settings() {
		say(w, "%s\t%s\t%s\t%s\n", x.Key, x.Value, x.Env, x.Origin)
	}
	return w.Flush()
}
