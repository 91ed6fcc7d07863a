defmodule Visits.Counter do
  @moduledoc "Counts, and keeps the count in a file of the state directory."
  use Agent

  def start_link(file) do
    Agent.start_link(fn -> {file, read(file)} end, name: __MODULE__)
  end

  @doc "One more; how many there have been."
  def next do
    Agent.get_and_update(__MODULE__, fn {file, count} ->
      write(file, count + 1)
      {count + 1, {file, count + 1}}
    end)
  end

  defp read(file) do
    case File.read(file) do
      {:ok, text} -> text |> String.trim() |> String.to_integer()
      {:error, :enoent} -> 0
    end
  end

  # Beside it and renamed: whatever happens, the file is whole.
  defp write(file, count) do
    File.write!("#{file}.new", "#{count}\n")
    File.rename!("#{file}.new", file)
  end
end
