defmodule Visits.MixProject do
  use Mix.Project

  def project do
    [
      app: :visits,
      version: "0.1.0",
      elixir: "~> 1.14",
      start_permanent: Mix.env() == :prod,
      deps: [],
      # The environment brings Erlang, so that it is locked, hashed and listed like everything else of the bundle.
      releases: [visits: [include_erts: false, include_executables_for: [:unix]]]
    ]
  end

  def application do
    [mod: {Visits.Application, []}, extra_applications: [:logger]]
  end
end
