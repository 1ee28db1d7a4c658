import { useEffect, useState } from "react";
import { models } from "./server";

/** The model that is asked, all there are, and how to choose another. */
export function useModel(): [model: string, all: string[], choose: (model: string) => void] {
  const [all, setAll] = useState<string[]>([]);
  const [model, setModel] = useState(() => localStorage.getItem("model") ?? "demo/reasoning");
  useEffect(() => {
    let isCurrent = true;
    void models().then((all) => isCurrent && setAll(all));
    return () => void (isCurrent = false);
  }, []);
  const choose = (model: string) => {
    localStorage.setItem("model", model);
    setModel(model);
  };
  return [model, all.includes(model) ? all : [model, ...all], choose];
}
