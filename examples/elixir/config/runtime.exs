# Read on the server at each start: what /etc/visits/visits.env says comes in here.
import Config

config :visits,
  ip: System.get_env("HOST", "127.0.0.1"),
  port: String.to_integer(System.get_env("PORT", "4000")),
  directory: System.get_env("STATE_DIRECTORY", ".")

config :logger, :console, format: "$level $message\n"
