defmodule Visits.Web do
  @moduledoc "HTTP with nothing but OTP: the socket parses requests itself (`packet: :http_bin`)."
  use Task, restart: :permanent

  require Logger

  @options [:binary, packet: :http_bin, active: false, reuseaddr: true, backlog: 64]
  @timeout 5_000

  def start_link(options) do
    Task.start_link(__MODULE__, :serve, [options[:ip], options[:port]])
  end

  def serve(ip, port) do
    {:ok, address} = ip |> String.to_charlist() |> :inet.parse_address()
    {:ok, listener} = :gen_tcp.listen(port, [{:ip, address} | @options])
    Logger.info("listening on #{ip}:#{port}")
    accept(listener)
  end

  defp accept(listener) do
    {:ok, socket} = :gen_tcp.accept(listener)
    {:ok, pid} = Task.Supervisor.start_child(Visits.Requests, fn -> answer(socket) end)
    :ok = :gen_tcp.controlling_process(socket, pid)
    accept(listener)
  end

  defp answer(socket) do
    with {:ok, {:http_request, method, {:abs_path, path}, _version}} <- :gen_tcp.recv(socket, 0, @timeout),
         :ok <- skip_headers(socket) do
      {status, body} = page(method, path)
      head = "HTTP/1.1 #{status}\r\ncontent-type: text/plain\r\ncontent-length: #{byte_size(body)}\r\n"
      :gen_tcp.send(socket, [head, "connection: close\r\n\r\n", body])
    end

    :gen_tcp.close(socket)
  end

  defp skip_headers(socket) do
    case :gen_tcp.recv(socket, 0, @timeout) do
      {:ok, :http_eoh} -> :ok
      {:ok, {:http_header, _, _, _, _}} -> skip_headers(socket)
      _ -> :error
    end
  end

  defp page(:GET, "/healthz"), do: {"200 OK", "ok\n"}
  defp page(:GET, "/"), do: {"200 OK", "visit #{Visits.Counter.next()}\n"}

  defp page(:GET, "/about") do
    {"200 OK", "#{System.otp_release()} #{System.version()} #{node()} #{:code.root_dir()}\n"}
  end

  defp page(_method, _path), do: {"404 Not Found", "There is no such page.\n"}
end
