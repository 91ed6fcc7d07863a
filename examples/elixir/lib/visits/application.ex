defmodule Visits.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _arguments) do
    children = [
      {Visits.Counter, Path.join(Application.fetch_env!(:visits, :directory), "visits")},
      {Task.Supervisor, name: Visits.Requests},
      {Visits.Web, ip: Application.fetch_env!(:visits, :ip), port: Application.fetch_env!(:visits, :port)}
    ]

    Supervisor.start_link(children, strategy: :one_for_one, name: Visits.Supervisor)
  end
end
